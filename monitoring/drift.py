"""Is this window the traffic of the days before it? Two distances, one rule for both.

Both distances depend on a set of rows only through its size and the sum of its features, so one
matrix product serves every day of the reference and two hundred random subsets of it, in time linear
in rows.

- embeddings: unbiased MMD^2 (Gretton et al. 2012, eq. 3) with an RBF kernel approximated by random
  Fourier features (Rahimi & Recht 2007);
- labels: L1 distance of the label shares (0 the same, 2 nothing in common).

The rule: a distance counts when it exceeds what the traffic does by itself. That has two parts, both
learnt from the reference. Sampling noise: distances of random subsets of the reference, as large as the
window, from the rest. Ordinary days: the largest distance of one reference day from the others
which sampling noise does not explain; traffic is correlated within a day, so days differ by more than
random subsets do, and weekends by more than other days.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from core.records import Array

SUBSETS = 200
FREQUENCIES = 512
SHRINKAGE = (
    0.1  # of the covariance towards its mean eigenvalue: reference rows may be fewer than dimensions
)
MIN_DAY_ROWS = 10
DAY_MARGIN = 1.5  # the next day may well be the most unusual of eight
BLOCK_ROWS = 4096
_Distance = Callable[[Array, Array, Array, Array], Array]


@dataclass(frozen=True)
class Drift:
    """A distance and what to hold it against, in the distance's own unit."""

    value: float
    ordinary: float  # what this traffic does by itself
    sd: float  # of the sampling noise at the window's size
    threshold: float
    rows: int  # of the reference

    def __str__(self) -> str:
        effect = (self.value - self.ordinary) / self.sd if self.sd else 0.0
        side = "above" if effect >= 0 else "below"
        return (
            f"{abs(effect):.1f} sd {side} what this traffic does by itself "
            f"({self.ordinary:z.4f} ± {self.sd:.4f}, {self.rows:,} reference rows)"
        )


class IncomparableError(ValueError):
    """There is no distance between these rows; the message says why. Never leaves the room."""


def embedding_drift(
    window: Array, reference: Array, days: Array, sds: float, floor: float, seed: int = 0
) -> Drift:
    """MMD^2 between embeddings (n, dim) and (m, dim); `days` (m,) groups the reference.

    A random half of the reference sets the scale of every direction (whitening, so that a direction
    usual traffic hardly uses counts as much as a busy one) and the other half is compared: a scale
    fitted on the compared rows would make the window look farther away than it is. Then the halves
    swap, and all numbers are the mean of both.
    """
    for name, rows in (("the window", window), ("the reference", reference)):
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        if bad:
            raise IncomparableError(f"{bad} of {len(rows)} embeddings of {name} are not finite numbers")
    if window.shape[1] != reference.shape[1]:
        raise IncomparableError(
            f"{window.shape[1]} dimensions in the window, {reference.shape[1]} in the reference"
        )
    rng = np.random.default_rng(seed)
    halves = [np.sort(h) for h in np.array_split(rng.permutation(len(reference)), 2)]
    rule = _Rule(_mmd2, 1.0, sds, floor)
    found = [
        _judge(
            _random_features(reference[scale], reference[compare], rng),
            window,
            reference[compare],
            days[compare],
            rule,
            rng,
        )
        for scale, compare in (halves, halves[::-1])
    ]
    value, ordinary, sd, threshold = np.mean([astuple(f)[:4] for f in found], axis=0).tolist()
    return Drift(value, ordinary, sd, threshold, len(reference))


def label_drift(
    window: Sequence[str],
    reference: Sequence[str],
    days: Array,
    sds: float,
    floor: float,
    seed: int = 0,
) -> Drift:
    """L1 distance of the label shares of n and m rows; `days` (m,) groups the reference."""
    classes, codes = np.unique(np.array([*window, *reference], dtype=str), return_inverse=True)
    one_hot = np.eye(len(classes), dtype=np.float32)
    rng = np.random.default_rng(seed)
    return _judge(
        lambda rows: one_hot[rows],
        codes[: len(window)],
        codes[len(window) :],
        days,
        _Rule(_l1, 0.5, sds, floor),
        rng,
    )


@dataclass(frozen=True)
class _Rule:
    distance: _Distance
    power: float  # noise falls with (1/n + 1/m) to this power
    sds: float
    floor: float


def _judge(
    features: Callable[[Array], Array],
    window: Array,
    reference: Array,
    days: Array,
    rule: _Rule,
    rng: np.random.Generator,
) -> Drift:
    n, m = len(window), len(reference)
    size = min(n, m // 2)
    subsets = np.zeros((SUBSETS, m), dtype=np.float32)
    for row in subsets:
        row[rng.choice(m, size, replace=False)] = 1
    names, counts = np.unique(days, return_counts=True)
    names = names[(counts >= MIN_DAY_ROWS) & (m - counts >= MIN_DAY_ROWS)]
    blocks = (days == names[:, None]).astype(np.float32)
    groups = np.concatenate([np.ones((1, m), dtype=np.float32), subsets, blocks])
    sums, sizes = _sums(features, reference, groups), groups.sum(axis=1)
    whole, parts, part_sizes = sums[0], sums[1:], sizes[1:]

    ours = _sums(features, window, np.ones((1, n), dtype=np.float32))[0]
    value = float(rule.distance(ours, np.array(n), whole, np.array(m)))
    away = rule.distance(parts, part_sizes, whole - parts, m - part_sizes)
    noise = (1 / part_sizes + 1 / (m - part_sizes)) / (1 / n + 1 / m)
    scaled = away[:SUBSETS] / noise[:SUBSETS] ** rule.power
    mean, sd = float(scaled.mean()), float(scaled.std())
    unexplained = away[SUBSETS:] - (mean + rule.sds * sd) * noise[SUBSETS:] ** rule.power
    ordinary = mean + DAY_MARGIN * max(0.0, float(unexplained.max(initial=0.0)))
    return Drift(value, ordinary, sd, ordinary + max(rule.sds * sd, rule.floor), m)


def _sums(features: Callable[[Array], Array], rows: Array, groups: Array) -> Array:
    """Sum of the features over each group; groups (g, n) holds 1 where a row belongs."""
    parts = range(0, len(rows), BLOCK_ROWS)
    total = sum(groups[:, i : i + BLOCK_ROWS] @ features(rows[i : i + BLOCK_ROWS]) for i in parts)
    return np.asarray(total, dtype=np.float64)


def _mmd2(a: Array, n: Array, b: Array, m: Array) -> Array:
    """Unbiased MMD^2 from sums of unit-length features: a row paired with itself is left out."""

    def within(s: Array, k: Array) -> Array:
        return np.asarray(((s * s).sum(axis=-1) - k) / (k * (k - 1)))

    return np.asarray(within(a, n) + within(b, m) - 2 * (a * b).sum(axis=-1) / (n * m))


def _l1(a: Array, n: Array, b: Array, m: Array) -> Array:
    return np.asarray(np.abs(a / np.expand_dims(n, -1) - b / np.expand_dims(m, -1)).sum(axis=-1))


def _random_features(
    scale: Array, compare: Array, rng: np.random.Generator
) -> Callable[[Array], Array]:
    """(n, dim) rows to (n, 2 * FREQUENCIES) unit-length features of an RBF kernel on whitened rows;
    one matrix whitens, divides by the bandwidth (median heuristic) and projects."""
    centre = scale.mean(axis=0)
    away = scale - centre
    covariance = away.T @ away / len(away)
    spread = np.trace(covariance) / len(covariance)
    if spread < 1e-9:
        raise IncomparableError("the embeddings of the reference are all the same")
    covariance *= 1 - SHRINKAGE
    covariance[np.diag_indices_from(covariance)] += SHRINKAGE * spread
    whiten = np.linalg.inv(np.linalg.cholesky(covariance)).T
    some = (compare[rng.permutation(len(compare))[:300]] - centre) @ whiten
    square = (some * some).sum(axis=1)
    distances = square[:, None] + square - 2 * some @ some.T
    bandwidth = np.sqrt(max(float(np.median(distances[np.triu_indices(len(some), 1)])), 1e-9))
    draws = rng.standard_normal((len(covariance), FREQUENCIES), dtype=np.float32)
    project = (whiten @ draws / bandwidth).astype(np.float32)

    def features(rows: Array) -> Array:
        phase = (rows - centre) @ project
        both = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
        return np.asarray(both / np.sqrt(np.float32(FREQUENCIES)))

    return features
