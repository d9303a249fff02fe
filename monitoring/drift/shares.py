"""Distances of shares: labels, bins of confidence, bins of a text's length or of a projection.

Only counts of the window and of each reference day are looked at, so the null is drawn from the
reference's own shares at the window's size (multinomially), in a time that does not depend on the
number of rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.arrays import Array
from monitoring.drift.distances import Distance
from monitoring.drift.threshold import (
    NOTHING_KNOWN,
    DayVariation,
    DriftResult,
    Threshold,
    day_variation,
)

DRAWS = 200
BINS = 10
MIN_DAY_ROWS = 10


def shares_drift(
    window: Array, reference: Array, ages: Array, distance: Distance, rule: Threshold, seed: int = 0
) -> DriftResult:
    """The distance of the window's counts (k,) from those of (d, k) reference days, `ages` windows old.

    Held against all days together and, where they are there, against those of the same weekday: what is
    near to either is not drift. The nearer one is the answer.
    """
    rng = np.random.default_rng(seed)
    both = {"": np.ones(len(ages), dtype=bool), "the same weekday": ages % 7 == 0}
    found = [
        _held(window, reference, days, distance, rule, rng, name)
        for name, days in both.items()
        if reference[days].sum() >= MIN_DAY_ROWS
    ]
    return min(found, key=lambda d: (d.value - d.threshold) / (d.sd or 1.0))


def _held(
    window: Array,
    reference: Array,
    days: Array,
    distance: Distance,
    rule: Threshold,
    rng: np.random.Generator,
    name: str,
) -> DriftResult:
    held = reference[days].sum(axis=0)
    value = float(distance(_share(window), _share(held)))
    everything = reference.sum(axis=0)
    mean, sd = _null(everything, window.sum(), held.sum(), distance, rng)
    usual = _ordinary(reference, everything, distance, rng)
    ordinary = replace(usual, mean=mean + usual.mean)
    return rule.compare(value, sd, ordinary, int(held.sum()), name)


def _ordinary(
    reference: Array, everything: Array, distance: Distance, rng: np.random.Generator
) -> DayVariation:
    """How far each reference day is from the others, beyond sampling noise at its size."""
    sizes = reference.sum(axis=1)
    some = (sizes >= MIN_DAY_ROWS) & (sizes.sum() - sizes >= MIN_DAY_ROWS)
    if not some.any():
        return NOTHING_KNOWN
    parts = reference[some]
    away = distance(_share(parts), _share(everything - parts))
    size = float(np.median(sizes[some]))
    mean, sd = _null(everything, size, sizes.sum() - size, distance, rng)
    return day_variation(away - mean, np.full(len(away), sd))


def _null(
    counts: Array, n: float, m: float, distance: Distance, rng: np.random.Generator
) -> tuple[float, float]:
    """Mean and standard deviation of the distance between n and m rows of the same shares."""
    shares = _share(counts)
    some, others = (_share(rng.multinomial(max(1, int(k)), shares, DRAWS)) for k in (n, m))
    draws = distance(some, others)
    return float(draws.mean()), float(draws.std())


def _share(counts: Array) -> Array:
    counts = counts.astype(float)
    return np.asarray(counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-12))


def count(codes: Array, classes: int, days: Array) -> Array:
    """(d, classes) counts of (n,) codes on each of the sorted days in (n,) `days`."""
    _, day = np.unique(days, return_inverse=True)
    flat = np.bincount(day * classes + codes, minlength=(day.max(initial=-1) + 1) * classes)
    return np.asarray(flat.reshape(-1, classes))


def in_bins(values: Array, reference: Array) -> tuple[Array, Array, int]:
    """Both as codes of the bins that hold equal parts of the reference, and how many bins there are."""
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(reference, inner)) if len(reference) else np.zeros(0)
    # an edge is in the bin above it, and a lone value has one bin below and one above
    codes = [np.searchsorted(edges, x, side="right") for x in (values, reference)]
    return codes[0], codes[1], len(edges) + 1
