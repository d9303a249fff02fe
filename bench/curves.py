"""Detection delay against false alarms: one way of counting for every detector.

An alarm is a day whose score lies above the threshold. On a stream without drift each such day is a
false alarm. A drift is noticed on the first alarm from its first day on, at most PATIENCE days later
and before it is over; its delay is the days between, 0 where the day it began alarms, and MISSED where
nothing does.
An alarm that already stood on each of the `STANDING` days before says nothing new: it must fall first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.streams import Event
from core.arrays import Array

PATIENCE = 7
MISSED = PATIENCE + 1
STANDING = 3
THRESHOLDS = 300


@dataclass(frozen=True)
class Named:
    """A drift that was given a kind, with its first day and the day it was over; `last` knew of it."""

    kind: str
    since: int
    until: int | None
    last: int


@dataclass(frozen=True)
class Watch:
    """What a detector said of each day: streams -> (days,), NaN where it said nothing."""

    name: str
    scores: dict[str, Array]
    drift: dict[str, Array]  # bool, at its default
    default: str = ""  # in words
    seconds: float = 0.0  # a window
    note: str = ""
    kinds: dict[str, list[Named]] = field(default_factory=dict)  # of ours

    def at(self, threshold: float) -> dict[str, Array]:
        return {name: s > threshold for name, s in self.scores.items()}


@dataclass(frozen=True)
class Point:
    false_alarms: float  # in 60 days
    delay: float  # mean of the drifts, days


def delay(alarms: Array, event: Event) -> int:
    """Days from an event's first day to the alarm that notices it; MISSED where none does.

    >>> event = Event("instantaneous", "home", 4, None)
    >>> delay(np.array([0, 0, 0, 0, 0, 1, 1]) > 0, event), delay(np.ones(7) > 0, event)
    (1, 8)
    """
    start = event.start or 0
    end = min(start + PATIENCE + 1, len(alarms), event.end or len(alarms))
    first = start
    if start >= STANDING and alarms[start - STANDING : start].all():
        fallen = np.flatnonzero(~alarms[start:end])
        first = start + int(fallen[0]) if len(fallen) else end
    found = np.flatnonzero(alarms[first:end])
    return first + int(found[0]) - start if len(found) else MISSED


def sought(events: Sequence[Event]) -> list[Event]:
    """Those with a first day to notice: weekends have none."""
    return [e for e in events if e.start is not None]


def false_alarms(alarms: Sequence[Array], scores: Sequence[Array]) -> float:
    """In 60 days that were judged, over all the streams."""
    judged = sum(int(np.isfinite(s).sum()) for s in scores)
    return 60.0 * sum(int(a.sum()) for a in alarms) / judged if judged else float("nan")


def point(watch: Watch, drift: dict[str, Array], real: str, events: Sequence[Event]) -> Point:
    nulls = [n for n in drift if n != real]
    wrong = false_alarms([drift[n] for n in nulls], [watch.scores[n] for n in nulls])
    return Point(wrong, float(np.mean([delay(drift[real], e) for e in sought(events)])))


def curve(watch: Watch, real: str, events: Sequence[Event]) -> list[Point]:
    """A point a threshold, from the strictest to one that always alarms."""
    found = np.unique(np.concatenate([s[np.isfinite(s)] for s in watch.scores.values()]))
    if len(found) > THRESHOLDS:  # every one of the highest, then fewer and fewer
        places = np.geomspace(1, len(found), THRESHOLDS).astype(int)
        found = found[len(found) - np.unique(places)]
    thresholds = [*np.sort(found)[::-1].tolist(), -np.inf]
    return [point(watch, watch.at(t), real, events) for t in thresholds]


def best(points: Sequence[Point], limit: float) -> float:
    """The least delay at no more than so many false alarms in 60 days."""
    return min((p.delay for p in points if p.false_alarms <= limit), default=float(MISSED))


def kind_of(event: Event, named: Sequence[Named]) -> str:
    """The kind that a planned drift was given in the end, "" for none: that of what began within
    PATIENCE days of it, or of any season.

    >>> kind_of(Event("temporary", "oos", 4, 7), [Named("temporary", 4, 7, 20)])
    'temporary'
    """
    if event.start is None:
        return next((n.kind for n in named if n.kind == event.kind), "")
    near = [n for n in named if n.kind != "periodic" and 0 <= n.since - event.start <= PATIENCE]
    return min(near, key=lambda n: n.since).kind if near else ""
