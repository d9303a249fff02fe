"""What kind of drift it is, as far as the days seen so far can tell.

A day is drift when it is far from every mixture of what was usual: the reference, the same weekday
of earlier weeks, and, while an episode lasts, the days before the episode and its own. So one
change is one alarm, a weekend that was seen before is none, and neither is the return after a
burst.

The kinds are those of Gama et al. (2014, fig. 2): instantaneous (sudden), gradual, periodic
(reoccurring) and temporary (a burst that is over).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from core.arrays import Array
from monitoring.drift.mmd import NEAR, WEEK, MeanEmbeddings
from monitoring.drift.threshold import DayVariation, DriftResult, Threshold

DriftType = Literal["instantaneous", "gradual", "periodic", "temporary"]
RECENT, SEASON = "the reference", "the same weekday of earlier weeks"
BEFORE, DURING = "the days before the episode", "the days of the episode"
LATE = "days since the last change"
MIN_LATE = 5
SEASON_WEEKS = 4
MOST_EPISODES = 10
GREW = 2.0  # times the distance of its first day: a change that came within a day does not grow
DAY = timedelta(days=1)


@dataclass(frozen=True)
class DriftEpisode:
    """A change of the traffic: what kind, from when, and why it is thought so. `until` is None while it
    lasts; a change that came to stay ends when it is what is usual."""

    kind: DriftType
    since: datetime
    until: datetime | None
    reason: str
    evidence: dict[str, float]


@dataclass(frozen=True)
class DriftSettings:
    """How a window is held against its reference."""

    rule: Threshold
    span: float = WEEK  # days of a sliding reference, which a change has to last to be what is usual
    alone: bool = False  # nothing but the reference counts


@dataclass(frozen=True, eq=False)
class NewestDay:
    """The newest of some days, the last of `days`, and what it may be held against."""

    days: MeanEmbeddings
    usual: Array  # (k,) True for the days of the reference
    late: Array  # (k,) True for the days that say how much days differ
    now: datetime  # when the newest day began
    held: DriftSettings
    ordinary: DayVariation  # what days differ beyond sampling noise

    def references(self, episodes: Sequence[DriftEpisode]) -> dict[str, Array]:
        """What was usual up to now: (k,) True where a day belongs to it, by name."""
        found = {RECENT: self.usual}
        if not self.held.alone:
            ages = self.days.ages
            same = self.days.same_weekday(len(ages) - 1)
            found[SEASON] = same & (ages < WEEK * (SEASON_WEEKS + 0.5))
            open_one = under_way(episodes)
            if open_one is not None:
                age = self.age(open_one.since)
                found[BEFORE] = (ages > age + NEAR) & (ages < age + self.held.span + NEAR)
                found[DURING] = (ages > NEAR) & (ages < age + NEAR)
        return {name: chosen for name, chosen in found.items() if chosen.any()}

    def age(self, since: datetime) -> float:
        return (self.now - since).total_seconds() / 86400

    def judge(self, seen: dict[str, Array]) -> DriftResult:
        """The newest day against what was seen: the nearest mixture of it, or any one part alone."""
        each = np.array([self.days.pooled(chosen) for chosen in seen.values()])
        newest = len(self.days) - 1
        found = []
        for mixtures in (each, *each[:, None]):
            side, value, sd = self.days.from_mixture(newest, mixtures)
            nearest = max(seen, key=lambda name: float(side @ seen[name]))
            found.append(self.held.rule.compare(value, sd, self.ordinary, self._rows(side), nearest))
        return min(found, key=_excess)

    def judge_usual(self, seen: dict[str, Array]) -> DriftResult:
        """The same, or against single days of late, stretched: topics that come and go are usual."""
        found = self.judge(seen)
        if self.late.sum() < MIN_LATE:
            return found
        apart = self.days.outlying(self.late)
        mixtures = self.days.stretched(self.late, apart)
        side, value, sd = self.days.from_mixture(len(self.days) - 1, mixtures)
        usual = self.days.unexplained(self.late, apart)
        other = self.held.rule.compare(value, sd, usual, self._rows(side), LATE)
        return min(found, other, key=_excess)

    def _rows(self, side: Array) -> int:
        return int(self.days.rows[np.abs(side) > 0].sum())


def _excess(found: DriftResult) -> float:
    return (found.value - found.threshold) / (found.sd or 1.0)


def under_way(episodes: Sequence[DriftEpisode]) -> DriftEpisode | None:
    """The sudden change that is neither over nor usual by now."""
    sudden = (e for e in reversed(episodes) if e.kind == "instantaneous" and e.until is None)
    return next(sudden, None)


def next_episodes(
    look: NewestDay, episodes: Sequence[DriftEpisode]
) -> tuple[DriftResult, tuple[DriftEpisode, ...]]:
    """What the newest day is, and the episodes as they stand after it."""
    seen = look.references(episodes)
    found = look.judge_usual(seen)
    if look.held.alone:
        return found, tuple(episodes)
    told = [e for e in episodes if e.since < look.now]
    now = under_way(told)
    if found.alarm and (now is None or found.value > now.evidence["value"] / 2):
        told = [_ended(e, look.now) if e.until is None and e.kind != "gradual" else e for e in told]
        reason = "far from every mixture of what was usual, from one day to the next"
        evidence = {"value": found.value, "threshold": found.threshold}
        told.append(DriftEpisode("instantaneous", look.now, None, reason, evidence))
    else:
        told = _gone_on(look, seen, told)
        told = _season(look, seen, told)
    return found, _kept(told)


def _ended(episode: DriftEpisode, now: datetime, **changes: Any) -> DriftEpisode:
    return replace(episode, until=now, **changes)


def _gone_on(look: NewestDay, seen: dict[str, Array], told: list[DriftEpisode]) -> list[DriftEpisode]:
    """An episode is over when a day is near to what was usual before it, and nearer than to the
    episode; it has come to stay when it is as old as what is usual."""
    episode = under_way(told)
    if episode is None or DURING not in seen:
        return told
    earlier = look.days.ages > look.age(episode.since) + NEAR
    before = {n: m & earlier for n, m in seen.items() if n in (BEFORE, SEASON) and (m & earlier).any()}
    here = look.judge({DURING: seen[DURING]})
    back = look.judge(before) if before else None
    days = look.age(episode.since)
    evidence = {**episode.evidence, "days": days, "to the episode": here.value}
    if back is not None:
        evidence["to the days before"] = back.value
    if back is not None and not back.alarm and back.value < here.value:
        reason = f"over after {days:.0f} days: the traffic is again as it was before"
        ended = _ended(episode, look.now, kind="temporary", reason=reason, evidence=evidence)
    elif days >= look.held.span and back is not None and back.value > GREW * episode.evidence["value"]:
        reason = f"it began within a day and has grown since: after {days:.0f} days it is far more"
        ended = replace(episode, kind="gradual", reason=reason, evidence={**evidence, "moved": days})
    elif days >= look.held.span:
        reason = f"it came from one day to the next, and after {days:.0f} days it is what is usual"
        ended = _ended(episode, look.now, reason=reason, evidence=evidence)
    else:
        return told
    return [ended if e is episode else e for e in told]


def _season(look: NewestDay, seen: dict[str, Array], told: list[DriftEpisode]) -> list[DriftEpisode]:
    """A day that is unlike the reference, and like the same day of earlier weeks. A season is one
    episode, under way on the days that show it."""
    periodic = next((e for e in told if e.kind == "periodic"), None)
    plain = look.judge({RECENT: seen[RECENT]}) if RECENT in seen else None
    here = SEASON in seen and not under_way(told) and plain is not None and plain.alarm
    if plain is None or not here:
        return [_ended(e, look.now) if e is periodic and not e.until else e for e in told]
    if periodic is not None:
        return [replace(e, until=None) if e is periodic else e for e in told]
    reason = f"unlike the days before, and like {look.now:%A}s of earlier weeks"
    evidence = {"value": plain.value, "threshold": plain.threshold}
    return [*told, DriftEpisode("periodic", look.now, None, reason, evidence)]


def usual_since(episodes: Sequence[DriftEpisode]) -> datetime | None:
    """When what is usual now began: the last change that was not a burst. A gradual one that is over
    had stood still for two weeks."""
    stayed = [e.since for e in episodes if e.kind == "instantaneous"]
    slow = [e for e in episodes if e.kind == "gradual"]
    stayed += [e.until - 2 * WEEK * DAY if e.until else e.since for e in slow]
    return max(stayed, default=None)


def _kept(told: Sequence[DriftEpisode]) -> tuple[DriftEpisode, ...]:
    """Those under way, and the newest of the others."""
    newest = told[-MOST_EPISODES:]
    return tuple(e for e in told if e.until is None or e in newest)
