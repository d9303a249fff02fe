"""Signals of a log that keeps no text: what the counts of two stretches of time say about each other.

rows                  rows        usual rows of a window x traffic_share
confidence            probability mean of the bins' middles
shift.labels          L1          between the label shares
shift.embeddings      sd          between the mean embeddings, each dimension in its standard deviations

Only `rows` has a limit: without rows nobody can say how far shares move by themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from core.arrays import Array
from core.kept import SCORE_BINS, Profile
from core.records.signals import Signal
from monitoring import Monitoring
from monitoring.limits import TRAFFIC_SHARE


def observe_profiles(
    window: Sequence[Profile],
    reference: Sequence[Profile],
    start: datetime,
    end: datetime,
    settings: Monitoring,
) -> list[Signal]:
    """The signals of the answers of [start, end), held against those before."""
    ours, theirs = ([p for p in ps if p.variant != "shadow"] for ps in (window, reference))
    rows = sum(p.rows for p in ours)
    usual = sum(p.rows for p in theirs) * settings.window_hours / (24 * settings.reference_days)
    limit = usual * TRAFFIC_SHARE if theirs else None
    note = f"{usual:,.0f} rows in a usual window" if theirs else "not comparable: no reference"
    signals = [
        Signal("rows", start, end, float(rows), "rows", baseline=limit, note=note),
        Signal("confidence", start, end, _confidence(ours), "probability"),
    ]
    versions = {p.model_version for p in ours} & {p.model_version for p in theirs}
    ours, theirs = ([p for p in ps if p.model_version in versions] for ps in (ours, theirs))
    note = "" if ours else "not comparable: no version answered in both"
    shifts = (_labels(ours, theirs), _embeddings(ours, theirs)) if ours else (None, None)
    return [
        *signals,
        Signal("shift.labels", start, end, shifts[0], "L1", note=note),
        Signal("shift.embeddings", start, end, shifts[1], "sd", note=note),
    ]


def _confidence(profiles: Sequence[Profile]) -> float | None:
    if not profiles:
        return None
    counts = np.sum([p.scores for p in profiles], axis=0)
    middles = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS
    return float((counts * middles).sum() / counts.sum())


def _labels(ours: Sequence[Profile], theirs: Sequence[Profile]) -> float:
    def shares(profiles: Sequence[Profile]) -> dict[str, float]:
        counts = sum((Counter(p.labels) for p in profiles), Counter[str]())
        return {label: n / counts.total() for label, n in counts.items()}

    a, b = shares(ours), shares(theirs)
    return sum(abs(a.get(x, 0.0) - b.get(x, 0.0)) for x in a.keys() | b.keys())


def _embeddings(ours: Sequence[Profile], theirs: Sequence[Profile]) -> float | None:
    both = {p.encoder for p in ours} & {p.encoder for p in theirs}
    if not both:
        return None
    encoder = min(both)
    mean, _ = _moments([p for p in ours if p.encoder == encoder])
    usual, variance = _moments([p for p in theirs if p.encoder == encoder])
    return float(np.sqrt(((mean - usual) ** 2 / np.maximum(variance, 1e-12)).mean()))


def _moments(profiles: Sequence[Profile]) -> tuple[Array, Array]:
    """Mean and variance of each dimension."""
    rows = sum(p.rows for p in profiles)
    mean = np.sum([p.sums for p in profiles], axis=0) / rows
    return mean, np.sum([p.squares for p in profiles], axis=0) / rows - mean**2
