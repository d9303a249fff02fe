"""What kind of drift it is: the days of a history walked through once, as they came.

A day is drift when it is far from every mixture of what was usual: the days just before it, the same
weekday of the weeks before, and, while an episode lasts, the days before the episode and the episode
itself. So one change is one alarm, a weekend that was seen before is none, and neither is the return after
a burst. A second question, the last week against the weeks before it, finds what comes too slowly for the
first. Each alarm starts the clock anew: the weeks before a change are no longer what is usual.

The kinds are those of Gama et al. 2014, fig. 2: instantaneous (sudden), gradual, periodic (reoccurring),
temporary (a burst that is over).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np

from core.records import Array
from monitoring.rule import Drift, Rule, ordinary_days
from monitoring.sketches import Days

Kind = Literal["instantaneous", "gradual", "periodic", "temporary"]
WEEK = 7.0
SEASON_WEEKS = 4  # of the same weekday
OLDER_WEEKS = 4  # that the last week is held against, at most
LEARN_DAYS = 28
NEAR = 0.45  # of a day: two days at the same time of the week


@dataclass(frozen=True)
class Episode:
    """A change of the traffic: what kind, and from when. `until` is None while it lasts."""

    kind: Kind
    since: datetime
    until: datetime | None
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.until is not None


@dataclass(frozen=True)
class Story:
    """What is known at the end of the last day."""

    day: Drift | None = None
    week: Drift | None = None
    episodes: tuple[Episode, ...] = ()  # oldest first


def story(days: Days, rule: Rule, span: float = WEEK, usual: Array | None = None) -> Story:
    """Walk through the days. `usual` (k,): the days that the last one is held against where a reference
    policy says so, and then against nothing else; None holds it, as every other, against what was seen."""
    walk = _Walk(days, rule, span)
    for day in range(2, len(days)):
        walk.step(day, usual if day == len(days) - 1 else None)
    return Story(walk.day, walk.week, tuple(walk.episodes))


class _Walk:
    def __init__(self, days: Days, rule: Rule, span: float) -> None:
        self.days, self.rule, self.span = days, rule, span
        self.day: Drift | None = None
        self.week: Drift | None = None
        self.episodes: list[Episode] = []
        self.judged: list[Drift] = []  # one a day, as far as there was something to hold it against
        self.noise: list[float] = []  # of each of them
        self.last_noise = 0.0
        self.burst = np.zeros(len(days), dtype=bool)  # days of a temporary drift
        self.start: int | None = None  # of the episode under way
        self.before = np.zeros(len(days), dtype=bool)  # what was usual before it
        self.regime = self.regime_before = 0  # the first day of what is usual now

    def step(self, day: int, usual: Array | None) -> None:
        self.day = self.week = None
        seen = self._seen(day) if usual is None else {"the reference": usual}
        if seen:
            self.day = self._judge(day, seen)
            noise = self.last_noise
            if self.day.alarm:
                self._opens(day)
            elif usual is None:
                self._goes_on(day)
                self._season(day)
            self.judged.append(self.day)
            self.noise.append(noise)
        self._week(day)

    def _seen(self, day: int) -> dict[str, Array]:
        """What was usual up to a day: (k,) True where a day belongs to it, by name."""
        now, when = self.days.middle[day], self.days.middle
        past = when < when[day]
        found = {f"the last {self.span:g} days": past & (when >= now - self.span - NEAR)}
        age = now - when
        same = np.abs(age - WEEK * np.round(age / WEEK)) < NEAR
        weeks = past & same & (age < WEEK * (SEASON_WEEKS + 0.5))
        found["the same weekday of earlier weeks"] = weeks
        if self.start is not None:
            found["the days before the episode"] = self.before
            found["the days of the episode"] = past & (np.arange(len(when)) >= self.start)
        return {name: chosen for name, chosen in found.items() if chosen.any()}

    def _judge(self, day: int, seen: dict[str, Array]) -> Drift:
        mixtures = np.array([self.days.pooled(chosen) for chosen in seen.values()])
        shares = self.days.nearest(day, mixtures)
        usual = shares @ mixtures
        rows = int(self.days.rows[usual > 0].sum())
        value, noise = self.days.between(self.days.only(day), usual)
        last = self.judged[-LEARN_DAYS:]
        learnt = ordinary_days(np.array([d.value for d in last]), np.array(self.noise[-LEARN_DAYS:]))
        self.last_noise = noise
        return self.rule.hold(value, noise, learnt, rows, list(seen)[int(shares.argmax())])

    def _opens(self, day: int) -> None:
        if self.start is not None:
            self._ends(day, "instantaneous", "another change came before it was over")
        assert self.day is not None
        self._close_periodic(day)
        sketch = self.days.sketches[day]
        evidence = {"value": self.day.value, "threshold": self.day.threshold, "days": 1}
        reason = f"{sketch.start:%Y-%m-%d} is far from every mixture of what was usual"
        self.episodes.append(Episode("instantaneous", sketch.start, None, reason, evidence))
        when = self.days.middle
        self.before = (when < when[day]) & (when >= when[day] - self.span - NEAR)
        self.start, self.regime_before, self.regime = day, self.regime, day

    def _goes_on(self, day: int) -> None:
        """An episode is over when a day is near to what was usual before; it has come to stay when a whole
        span of what is usual lies within it."""
        if self.start is None:
            return
        seen = self._seen(day)
        own = {"own": seen.pop("the days of the episode")}
        seen.pop(next(iter(seen)), None)  # the last days: some are of the episode
        seen = {name: chosen & (np.arange(len(chosen)) < self.start) for name, chosen in seen.items()}
        seen = {name: chosen for name, chosen in seen.items() if chosen.any()}
        back, here = self._judge(day, seen), self._judge(day, own)
        age = self.days.middle[day] - self.days.middle[self.start]
        if not back.alarm and back.value < here.value:
            self.burst[self.start : day] = True
            self.regime = self.regime_before
            self._ends(day, "temporary", f"over: from {self.days.sketches[day].start:%Y-%m-%d} on the traffic is as it was before")
        elif age >= self.span:
            self._ends(day, "instantaneous", f"it came to stay: {age:.0f} days later the traffic is still like its first days")

    def _ends(self, day: int, kind: Kind, reason: str) -> None:
        last = max(i for i, e in enumerate(self.episodes) if e.kind == "instantaneous" and not e.over)
        until = self.days.sketches[day].start
        evidence = {**self.episodes[last].evidence, "days": day - (self.start or 0)}
        self.episodes[last] = replace(
            self.episodes[last], kind=kind, until=until, reason=reason, evidence=evidence
        )
        self.start = None

    def _season(self, day: int) -> None:
        """A day that is unlike the days before it, and like the same day of earlier weeks."""
        seen = self._seen(day)
        season = seen.get("the same weekday of earlier weeks")
        recent = next(iter(seen.items()))
        plain = self._judge(day, dict([recent]))
        if season is None or self.start is not None or not plain.alarm:
            return self._close_periodic(day)
        sketch = self.days.sketches[day]
        if self.episodes and self.episodes[-1].kind == "periodic" and not self.episodes[-1].over:
            return None
        reason = f"{sketch.start:%A}s are unlike the days before them, and like earlier {sketch.start:%A}s"
        evidence = {"value": plain.value, "threshold": plain.threshold, "weeks": int(season.sum())}
        self.episodes.append(Episode("periodic", sketch.start, None, reason, evidence))
        return None

    def _close_periodic(self, day: int) -> None:
        if self.episodes and self.episodes[-1].kind == "periodic" and not self.episodes[-1].over:
            until = self.days.sketches[day].start
            self.episodes[-1] = replace(self.episodes[-1], until=until)

    def _week(self, day: int) -> None:
        """The last week against whole weeks before it, of what has been usual since the last change."""
        when, index = self.days.middle, np.arange(len(self.days))
        age = when[day] - when
        recent = (age > -NEAR) & (age < WEEK - NEAR) & ~self.burst
        since = age[self.regime]
        weeks = min(OLDER_WEEKS, int((since + 1 + NEAR) // WEEK) - 1)
        older = (age > WEEK - NEAR) & (age < WEEK * (weeks + 1) - NEAR) & ~self.burst & (index < day)
        if weeks < 1 or older.sum() < WEEK - 2 or recent.sum() < WEEK - 2:
            return
        mixtures = self.days.pooled(recent), self.days.pooled(older)
        value, sd = self.days.between(*mixtures)
        rows = int(self.days.rows[older].sum())
        self.week = self.rule.hold(value, sd, (0.0, 0.0), rows, f"the {weeks} weeks before it")
        if self.week.alarm:
            self._moves(day, recent)

    def _moves(self, day: int, recent: Array) -> None:
        assert self.week is not None
        since = self.days.sketches[int(np.flatnonzero(recent)[0])].start
        reason = f"the week since {since:%Y-%m-%d} is unlike {self.week.nearest}, no day of it by itself"
        evidence = {"value": self.week.value, "threshold": self.week.threshold}
        self.episodes.append(Episode("gradual", since, None, reason, evidence))
        self.regime = int(np.flatnonzero(recent)[0])
