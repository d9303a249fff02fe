"""Is this window other traffic than its reference? What its embeddings say.

Unbiased MMD^2 (Gretton et al. 2012, eq. 3) with an RBF kernel on whitened embeddings, by random
Fourier features (Rahimi & Recht 2007): linear in the window's rows. Of past days a sample of
DAY_ROWS is enough, so weeks of history cost the same whatever the traffic. Of each past day's rows
one half sets the scale of the kernel and the other is compared: new topics lie in directions that
usual traffic hardly uses, and only a scale learnt on other rows than the compared ones can tell
that from chance.

    sudden   the window against the reference, and what else was seen (monitoring/drift/types.py)
    slow     the last week against the weeks before it (monitoring/drift/gradual.py)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from core.arrays import Array
from core.records.signals import TrafficSample
from core.records.windows import Window
from monitoring.drift.features import DAY_ROWS, check_comparable, feature_map, halves, spread_out
from monitoring.drift.gradual import SCALE_DAYS, Weeks, in_burst
from monitoring.drift.mmd import MeanEmbeddings
from monitoring.drift.threshold import DriftResult
from monitoring.drift.types import (
    DriftEpisode,
    DriftSettings,
    NewestDay,
    next_episodes,
    under_way,
    usual_since,
)

MIN_DAY_ROWS = 10
DAY = timedelta(days=1)


@dataclass(frozen=True, eq=False)
class History:
    """What is known of the traffic before a window: samples of its days, and the episodes so far."""

    samples: Sequence[TrafficSample] = ()
    episodes: Sequence[DriftEpisode] = ()


@dataclass(frozen=True, eq=False)
class EmbeddingDrift:
    """What the embeddings of a window say, and the samples that were drawn on the way."""

    day: DriftResult
    week: DriftResult | str  # or why there is none
    episodes: tuple[DriftEpisode, ...]  # oldest first
    drawn: tuple[TrafficSample, ...]  # of reference days that had none, and of the window


def embedding_drift(
    window: Window, reference: Window, ages: Array, held: DriftSettings, history: History | None = None
) -> EmbeddingDrift:
    """Hold a window against its reference, whose rows are `ages` (m,) windows old, and its history.

    Raises IncomparableError.
    """
    check_comparable(window.embeddings, reference.embeddings)
    history = history or History()
    known = _disjoint(history.samples, window)
    fresh, usual_starts = _reference_days(window, reference, ages, known)
    past = sorted([*known, *fresh], key=lambda s: s.start)
    usual = np.array([s.start in usual_starts for s in past] + [False])
    old = np.array([(window.start - s.start) / DAY for s in past] + [0.0])
    days, near = _mean_embeddings(past, window, usual, old, under_way(history.episodes))
    ordinary = days.variation(near & ~np.append(in_burst(past, history.episodes), False))
    late = usual if held.alone else near & np.append(_settled(past, history.episodes), False)
    look = NewestDay(days, usual, late, window.start, held, ordinary)
    day, episodes = next_episodes(look, history.episodes)
    week, episodes = Weeks(past, window, old[:-1], held.rule, episodes).next()
    drawn = TrafficSample(
        _encoder(window), window.start, window.end, len(window), _some(window.embeddings, DAY_ROWS)
    )
    return EmbeddingDrift(day, week, episodes, (*fresh, drawn))


def _encoder(window: Window) -> str:
    return str(window.rows["encoder"].iloc[0])


def _some(rows: Array, most: int) -> Array:
    return spread_out(rows, most).astype(np.float16)


def _disjoint(samples: Iterable[TrafficSample], window: Window) -> list[TrafficSample]:
    """The newest samples that end before the window, without any that overlap."""
    found: list[TrafficSample] = []
    dim = window.embeddings.shape[1]
    for one in sorted(samples, key=lambda s: s.end, reverse=True):
        free = one.end <= (found[-1].start if found else window.start)
        if free and len(one.embeddings) >= MIN_DAY_ROWS and one.embeddings.shape[1] == dim:
            found.append(one)
    return found


def _reference_days(
    window: Window, reference: Window, ages: Array, known: Sequence[TrafficSample]
) -> tuple[list[TrafficSample], set[datetime]]:
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
            fresh.append(TrafficSample(_encoder(window), start, start + length, len(rows), some))
            starts.add(start)
    return fresh, starts


def _mean_embeddings(
    past: Sequence[TrafficSample],
    window: Window,
    usual: Array,
    old: Array,
    episode: DriftEpisode | None,
) -> tuple[MeanEmbeddings, Array]:
    """And which of them (k,) set the scale, and say what days differ by themselves. While an episode
    lasts its days do not: it stays as far from what was before as it was."""
    scale, compared = halves([s.embeddings.astype(np.float32) for s in past])
    begun = episode.since if episode else window.start
    before = np.array([s.start < begun for s in past] + [False])
    near = (usual | (old < SCALE_DAYS)) & before
    features = feature_map(np.concatenate([r for r, n in zip(scale, near, strict=False) if n] or scale))
    means = [
        features.mean(rows) for rows in [*compared, window.embeddings.astype(np.float32, copy=False)]
    ]
    sizes = np.array([len(rows) for rows in [*compared, window.embeddings]])
    usual_rows = np.concatenate([rows for rows, u in zip(compared, usual, strict=False) if u])
    return MeanEmbeddings(np.array(means), sizes, old, features.noise(usual_rows)), near


def _settled(past: Sequence[TrafficSample], episodes: Sequence[DriftEpisode]) -> Array:
    """(k,) True for days since the last change that has become what is usual."""
    since = usual_since([e for e in episodes if e is not under_way(episodes)])
    return np.array([since is None or s.start >= since for s in past], dtype=bool)
