"""Is this window other traffic than its reference? What its embeddings say.

Unbiased MMD^2 (Gretton et al. 2012, eq. 3) with an RBF kernel on whitened embeddings, by random
Fourier features (Rahimi & Recht 2007): linear in the window's rows. Of past days a sample of
DAY_ROWS is enough, so weeks of history cost the same whatever the traffic. Of each past day's rows
one half sets the scale of the kernel and the other is compared: new topics lie in directions that
usual traffic hardly uses, and only a scale learnt on other rows than the compared ones can tell
that from chance.

    sudden   the window against the reference, and what else was seen (monitoring/kinds.py)
    slow     the last week against the weeks before it, for what comes too slowly for any one day
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from core.records import Array, Sample, Window
from monitoring.days import Days
from monitoring.features import IncomparableError, check_finite, feature_map, halves, spread_out
from monitoring.kinds import WEEK, DriftEpisode, Look, next_day, under_way, usual_since
from monitoring.rule import Drift, Rule, ordinary_days

DAY_ROWS = 500
MIN_DAY_ROWS = 10
LEARN = 28  # windows that tell how much ordinary days differ
SCALE_DAYS = 28.5  # that set the scale
SLOW_WEEKS = 4  # that the last week is held against, at most
DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False)
class History:
    """What is known of the traffic before a window: samples of its days, and the episodes so far."""

    samples: Sequence[Sample] = ()
    episodes: Sequence[DriftEpisode] = ()
    judged: Sequence[tuple[float, float]] = ()  # distance of each window and its sampling noise


@dataclass(frozen=True, eq=False)
class Traffic:
    """What the embeddings of a window say, and the samples that were drawn on the way."""

    day: Drift
    week: Drift | str  # or why there is none
    episodes: tuple[DriftEpisode, ...]  # oldest first
    drawn: tuple[Sample, ...]  # of reference days that had none, and of the window


@dataclass(frozen=True)
class Held:
    """How a window is held against its reference."""

    rule: Rule
    span: float = WEEK  # days of a sliding reference
    alone: bool = False  # nothing but the reference counts


def traffic(
    window: Window, reference: Window, ages: Array, held: Held, history: History | None = None
) -> Traffic:
    """Hold a window against its reference, whose rows are `ages` (m,) windows old, and its history.

    Raises IncomparableError.
    """
    _check(window, reference)
    history = history or History()
    known = _apart(history.samples, window)
    fresh, usual_starts = _reference_days(window, reference, ages, known)
    past = sorted([*known, *fresh], key=lambda s: s.start)
    usual = np.array([s.start in usual_starts for s in past] + [False])
    old = np.array([(window.start - s.start) / DAY for s in past] + [0.0])
    ordinary = ordinary_days(*np.array(history.judged[-LEARN:]).reshape(-1, 2).T)
    days = _days(past, window, usual, old, under_way(history.episodes))
    look = Look(days, usual, window.start, held.rule, ordinary, held.span, held.alone)
    day, episodes = next_day(look, history.episodes)
    week = _week(past, window, old, held.rule, episodes)
    if isinstance(week, Drift) and week.alarm:
        since = window.start - (WEEK - 1) * DAY
        reason = "the last week is unlike the weeks before it, and no day of it was by itself"
        evidence = {"value": week.value, "threshold": week.threshold}
        episodes = (*episodes, DriftEpisode("gradual", since, None, reason, evidence))
    drawn = Sample(
        _encoder(window), window.start, window.end, len(window), _some(window.embeddings, DAY_ROWS)
    )
    return Traffic(day, week, episodes, (*fresh, drawn))


def _check(window: Window, reference: Window) -> None:
    ours, theirs = window.embeddings.shape[1], reference.embeddings.shape[1]
    if ours != theirs:
        raise IncomparableError(f"{ours} dimensions in the window, {theirs} in the reference")
    check_finite(window.embeddings, "the window")
    check_finite(reference.embeddings, "the reference")


def _encoder(window: Window) -> str:
    return str(window.rows["encoder"].iloc[0])


def _some(rows: Array, most: int) -> Array:
    return spread_out(rows, most).astype(np.float16)


def _apart(samples: Iterable[Sample], window: Window) -> list[Sample]:
    """The newest samples that end before the window, without any that overlap."""
    found: list[Sample] = []
    dim = window.embeddings.shape[1]
    for one in sorted(samples, key=lambda s: s.end, reverse=True):
        free = one.end <= (found[-1].start if found else window.start)
        if free and len(one.embeddings) >= MIN_DAY_ROWS and one.embeddings.shape[1] == dim:
            found.append(one)
    return found


def _reference_days(
    window: Window, reference: Window, ages: Array, known: Sequence[Sample]
) -> tuple[list[Sample], set[datetime]]:
    """Samples of the reference days that have none, and when each day of the reference began."""
    length = window.end - window.start
    fresh, starts = [], set()
    for age in np.unique(ages):
        start = window.start - int(age) * length
        there = [s for s in known if s.start <= start + length / 2 < s.end]
        rows = reference.embeddings[ages == age]
        if there:
            starts.add(there[0].start)
        elif len(rows) >= MIN_DAY_ROWS:
            some = _some(rows, DAY_ROWS)
            fresh.append(Sample(_encoder(window), start, start + length, len(rows), some))
            starts.add(start)
    return fresh, starts


def _days(
    past: Sequence[Sample], window: Window, usual: Array, old: Array, episode: DriftEpisode | None
) -> Days:
    """While an episode lasts its days set no scale: it stays as far from what was before as it was."""
    scale, compared = halves([s.embeddings.astype(np.float32) for s in past])
    begun = episode.since if episode else window.start
    near = [
        rows
        for rows, one, u, age in zip(scale, past, usual, old, strict=False)
        if (u or age < SCALE_DAYS) and one.start < begun
    ]
    features = feature_map(np.concatenate(near or scale))
    means = [
        features.mean(rows) for rows in [*compared, window.embeddings.astype(np.float32, copy=False)]
    ]
    sizes = np.array([len(rows) for rows in [*compared, window.embeddings]])
    usual_rows = np.concatenate([rows for rows, u in zip(compared, usual, strict=False) if u])
    return Days(np.array(means), sizes, old, features.noise(usual_rows))


def _week(
    past: Sequence[Sample], window: Window, old: Array, rule: Rule, episodes: Sequence[DriftEpisode]
) -> Drift | str:
    """The last week against whole weeks before it, of what has been usual since the last change.
    The scale is that of the weeks before, so all rows of the last week are compared."""
    quiet = _quiet(past, episodes)
    age, since = old[:-1], usual_since(episodes)
    begun = (window.start - since) / DAY if since else np.inf
    weeks = min(SLOW_WEEKS, int((min(begun, age.max(initial=0.0)) + 1.5) // WEEK) - 1)
    recent = quiet & (age < WEEK - 0.5)
    older = quiet & (age > WEEK - 0.5) & (age < WEEK * (weeks + 1) - 0.5)
    if weeks < 1 or recent.sum() < WEEK - 3 or older.sum() < WEEK - 3:
        return "not enough history: two weeks since the last change needed"
    rows = [s.embeddings.astype(np.float32) for s in past]
    scale, compared = halves([r for r, chosen in zip(rows, older, strict=True) if chosen])
    before = (age > WEEK - 0.5) & ~older & (age < SCALE_DAYS)
    scale += [r for r, chosen in zip(rows, before, strict=True) if chosen]
    features = feature_map(np.concatenate(scale))
    ours = [r for r, chosen in zip(rows, recent, strict=True) if chosen]
    ours.append(spread_out(window.embeddings, DAY_ROWS).astype(np.float32))
    theirs = np.concatenate(compared)
    means = np.array([features.mean(np.concatenate(ours)), features.mean(theirs)])
    sizes = np.array([sum(map(len, ours)), len(theirs)])
    days = Days(means, sizes, np.zeros(2), features.noise(theirs))
    value, sd = days.between(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    slow = Rule(rule.sds, rule.floor / 4)  # half the share of rows: what is slow has time to grow
    return slow.hold(value, sd, (0.0, 0.0), len(theirs), f"{weeks} weeks before the last")


def _quiet(past: Sequence[Sample], episodes: Sequence[DriftEpisode]) -> Array:
    """(k,) False for days of a burst, and for the same weekdays of other weeks: both sides then lack
    them alike."""
    bursts = [(e.since, e.until) for e in episodes if e.kind == "temporary" and e.until]
    there = [s.start for s in past if any(a <= s.start < b for a, b in bursts)]

    def same(one: datetime, other: datetime) -> bool:
        weeks = (one - other) / (WEEK * DAY)
        return abs(weeks - round(weeks)) * WEEK < 0.5

    return np.array([not any(same(s.start, t) for t in there) for s in past], dtype=bool)
