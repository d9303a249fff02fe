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
from monitoring.days import WEEK, Days
from monitoring.features import IncomparableError, check_finite, feature_map, halves, spread_out
from monitoring.kinds import DriftEpisode, Look, next_day, under_way, usual_since
from monitoring.rule import Drift, Rule

DAY_ROWS = 500
MIN_DAY_ROWS = 10
SCALE_DAYS = 28.5  # that set the scale, and tell how much ordinary days differ
SLOW_WEEKS = 4  # that the last week is held against, at most
DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False)
class History:
    """What is known of the traffic before a window: samples of its days, and the episodes so far."""

    samples: Sequence[Sample] = ()
    episodes: Sequence[DriftEpisode] = ()


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
    days, near = _days(past, window, usual, old, under_way(history.episodes))
    ordinary = days.ordinary(near & ~np.append(_in_burst(past, history.episodes), False))
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
) -> tuple[Days, Array]:
    """And which of them (k,) set the scale, and say what days differ by themselves. While an episode
    lasts its days do not: it stays as far from what was before as it was."""
    scale, compared = halves([s.embeddings.astype(np.float32) for s in past])
    begun = episode.since if episode else window.start
    before = np.array([s.start < begun for s in past] + [False])
    near = (usual | (old < SCALE_DAYS)) & before
    features = feature_map(
        np.concatenate([r for r, n in zip(scale, near, strict=False) if n] or scale)
    )
    means = [features.mean(rows) for rows in [*compared, window.embeddings.astype(np.float32)]]
    sizes = np.array([len(rows) for rows in [*compared, window.embeddings]])
    usual_rows = np.concatenate([rows for rows, u in zip(compared, usual, strict=False) if u])
    return Days(np.array(means), sizes, old, features.noise(usual_rows)), near


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
    parts = [*compared, *ours]
    ages = np.concatenate([age[older], age[recent], [0.0]])
    means, sizes = np.array([features.mean(p) for p in parts]), np.array([len(p) for p in parts])
    days = Days(means, sizes, ages, features.noise(np.concatenate(compared)))
    before_it = np.arange(len(parts)) < len(compared)
    value, sd = days.between(*(days.by_weekday(side) for side in (~before_it, before_it)))
    ordinary = days.ordinary(before_it).of(len(ours))
    slow = Rule(rule.sds, rule.floor / 4)  # half the share of rows: what is slow has time to grow
    held = int(sizes[before_it].sum())
    return slow.hold(value, sd, ordinary, held, f"{weeks} weeks before the last")


def _in_burst(past: Sequence[Sample], episodes: Sequence[DriftEpisode]) -> Array:
    """(k,) True for days of a burst that is over."""
    bursts = [(e.since, e.until) for e in episodes if e.kind == "temporary" and e.until]
    return np.array([any(a <= s.start < b for a, b in bursts) for s in past], dtype=bool)


def _quiet(past: Sequence[Sample], episodes: Sequence[DriftEpisode]) -> Array:
    """(k,) False for days of a burst, and for the same weekdays of other weeks: both sides then lack
    them alike."""
    there = [s.start for s, burst in zip(past, _in_burst(past, episodes), strict=True) if burst]

    def same(one: datetime, other: datetime) -> bool:
        weeks = (one - other) / (WEEK * DAY)
        return abs(weeks - round(weeks)) * WEEK < 0.5

    return np.array([not any(same(s.start, t) for t in there) for s in past], dtype=bool)
