"""From what is bad in this window to alerts that open, stay, come back and are over.

    bad -> open -> bad: the same alert, kept -> good: over -> bad within the cool-down: open again

A signal that cannot be said anything of is neither bad nor good: its alert stays, for a week.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from core.episodes import Episode, Episodes
from core.records.decisions import Severity
from core.records.signals import Signal
from monitoring.alerts.findings import Finding, spec_of
from monitoring.alerts.severity import ORDER, severity
from monitoring.limits import COOLDOWN

UNKNOWN = timedelta(days=7)  # an alert of which nothing more is heard ends after so long
KEPT = timedelta(days=3)  # past its cool-down an episode is kept so long: its end may still be told
FIXED = ("training", "since-promotion")  # references that a promotion changes
PAST = ("accuracy",)  # of answers as they were given, which a promotion does not change
What = Literal["opened", "worse", "kept", "again", "over"]


@dataclass(frozen=True)
class Change:
    """What became of one alert in this turn. `why` it is over, where it is."""

    what: What
    episode: Episode
    finding: Finding | None = None
    why: str = ""


def turn(
    known: Episodes,
    signals: Sequence[Signal],
    found: Sequence[Finding],
    champion: str,
    now: datetime,
) -> tuple[Episodes, list[Change]]:
    """The episodes after this window, and what became of each. The same turn again gives the same."""
    before = known.until(now)
    changes = [c for e in before.open if (c := _ended(e, champion, now))]
    ended = {c.episode.key for c in changes}
    live = {
        (e.signal, e.segment): e
        for e in before.episodes
        if e.key not in ended and _goes_on(e, champion, now)
    }
    for finding in found:
        worst = severity(finding, [f for f in found if f is not finding])
        changes.append(_bad(live.get(finding.place), finding, worst, champion, now))
    said = {(s.name, s.segment) for s in signals if s.value is not None}
    changes += _good(live.values(), {f.place for f in found}, said, now)
    after = {c.episode.key: c.episode for c in changes}
    rest = [e for e in before.episodes if e.key not in after]
    kept = [e for e in (*rest, *after.values()) if not _forgotten(e, now)]
    new = sum(c.what == "opened" for c in changes)
    return Episodes(now, kept, before.opened + new, before), changes


def _bad(
    old: Episode | None, finding: Finding, worst: Severity, champion: str, now: datetime
) -> Change:
    signal = finding.signal
    if old is None:
        place = f"{signal.name}/{signal.segment}" if signal.segment else signal.name
        key = f"alert/{place}/{signal.window_end:%Y-%m-%dT%H}"
        model = champion if _of_model(signal) else ""
        end = signal.window_end
        opened = Episode(key, signal.name, signal.segment, worst, now, end, model=model)
        return Change("opened", opened, finding)
    grown = max(old.severity, worst, key=ORDER.index)
    what: What = "worse" if grown != old.severity else "again" if old.over else "kept"
    more = replace(old, severity=grown, last=signal.window_end, windows=old.windows + 1, over=None)
    return Change(what, more, finding)


def _good(
    live: Collection[Episode],
    bad: Collection[tuple[str, str]],
    said: Collection[tuple[str, str]],
    now: datetime,
) -> Iterator[Change]:
    for episode in live:
        place = (episode.signal, episode.segment)
        if episode.over or place in bad:
            continue
        if place in said:
            yield Change("over", replace(episode, over=now), why="over")
        elif now - episode.last >= UNKNOWN:
            yield Change("over", replace(episode, over=now), why="nothing more was heard of it")


def _ended(episode: Episode, champion: str, now: datetime) -> Change | None:
    """A promotion ends what was said of the model before it; if it is still so, that is a new alert."""
    if not episode.model or episode.model == champion:
        return None
    why = f"model {champion} serves in place of {episode.model}"
    return Change("over", replace(episode, over=now), why=why)


def _of_model(signal: Signal) -> bool:
    """Is it about the model? Drift of traffic from traffic is not, nor is what a row looks like."""
    if signal.name in PAST:
        return False
    kind = spec_of(signal.name).kind
    return kind in ("accuracy", "confidence", "feedback") or signal.reference in FIXED


def _goes_on(episode: Episode, champion: str, now: datetime) -> bool:
    """Is a bad window now still this alert?"""
    if episode.over is None:
        return True
    return now - episode.over <= COOLDOWN and episode.model in ("", champion)


def _forgotten(episode: Episode, now: datetime) -> bool:
    return episode.over is not None and now - episode.over > COOLDOWN + KEPT
