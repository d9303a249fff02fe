"""Random Fourier features: a kernel between texts as a vector a text.

k(x, y) = exp(-|W(x - y)|^2 / 2) is the product of two rows' features (Rahimi & Recht 2007), so that
a set of rows is known by its number and one mean vector. Frequencies that are orthogonal to each
other approximate the same kernel with less variance (Yu et al. 2016): 384 of them find a new topic
as surely as 768 drawn freely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from core.arrays import Array
from core.rowwise import each

FREQUENCIES = 384
SHRINKAGE = 0.05  # of the covariance towards its mean eigenvalue: rows may be fewer than dimensions
BANDWIDTH_ROWS = 300
DAY_ROWS = 500  # of a day, half of which set the scale and half are compared
NOISE_ROWS = 700
BLOCK_ROWS = 2048  # whose features fit into the processor's cache


class IncomparableError(ValueError):
    """There is no distance between these rows; the message says why. Never leaves the room."""


ALL_THE_SAME = "not comparable: the embeddings of the reference are all the same"


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """(n, dim) rows to (n, 2 * FREQUENCIES) features of length one."""

    centre: Array  # (dim,) float32
    project: Array  # (dim, FREQUENCIES) float32

    def __call__(self, rows: Array) -> Array:
        phase = (rows - self.centre) @ self.project
        both = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
        both *= np.float32(1 / np.sqrt(self.project.shape[1]))
        return np.asarray(both)

    def mean(self, rows: Array) -> Array:
        """(2 * FREQUENCIES,) mean features of (n, dim) rows."""
        origin = self.centre @ self.project
        ones = np.ones(BLOCK_ROWS, dtype=np.float32)

        def work(start: int) -> Array:
            phase = rows[start : start + BLOCK_ROWS] @ self.project - origin
            few = ones[: len(phase)]
            return np.concatenate([few @ np.cos(phase), few @ np.sin(phase, out=phase)])

        sums = np.zeros(2 * self.project.shape[1])
        for part in each(work, range(0, len(rows), BLOCK_ROWS), len(rows)):
            sums += part
        return np.asarray(sums / (len(rows) * np.sqrt(self.project.shape[1])))

    def noise(self, rows: Array) -> float:
        """sqrt(2 E[k(x, x')^2]), k centred: MMD^2 between n and m of such rows has about this standard
        deviation times 1/n + 1/m (a degenerate U-statistic, Serfling 1980, section 5.2)."""
        few = self(spread_out(rows, NOISE_ROWS)).astype(np.float64)
        few -= few.mean(axis=0)
        products = few @ few.T
        n = len(few)
        pairs = (products**2).sum() - (np.diag(products) ** 2).sum()
        return float(np.sqrt(2 * pairs / (n * (n - 1))))


def feature_map(rows: Array) -> FeatureMap:
    """The map that (n, dim) rows of usual traffic suggest: whitened, so that a direction they
    hardly use counts as much as a busy one, with the median heuristic for the bandwidth (Gretton et
    al. 2012).

    It must not be used on these rows: a scale fitted to rows makes all others look farther away
    than they are. See `halves`.
    """
    rows = rows.astype(np.float32, copy=False)
    centre = rows.mean(axis=0)
    away = rows - centre
    covariance: Array = np.asarray(away.T @ away / len(away), dtype=np.float64)
    spread = np.trace(covariance) / len(covariance)
    if not spread > 1e-9:
        raise IncomparableError(ALL_THE_SAME)
    covariance *= 1 - SHRINKAGE
    covariance[np.diag_indices_from(covariance)] += SHRINKAGE * spread
    whiten = np.linalg.inv(np.linalg.cholesky(covariance)).T
    few = spread_out(away, BANDWIDTH_ROWS) @ whiten
    square = (few * few).sum(axis=1)
    distances = square[:, None] + square - 2 * few @ few.T
    pairs = distances[np.triu_indices(len(few), 1)]
    bandwidth = np.sqrt(max(float(np.median(pairs)), 1e-9))
    project = whiten @ _frequencies(len(covariance)) / bandwidth
    return FeatureMap(centre, project.astype(np.float32))


@cache
def _frequencies(dim: int) -> Array:
    """(dim, FREQUENCIES) normal vectors, orthogonal within each block of `dim` (Yu et al. 2016, eq.
    3)."""
    rng = np.random.default_rng(0)
    blocks = []
    for _ in range(-(-FREQUENCIES // dim)):
        directions, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
        blocks.append(directions * np.sqrt(rng.chisquare(dim, dim)))
    return np.asarray(np.hstack(blocks)[:, :FREQUENCIES])


def spread_out(rows: Array, most: int) -> Array:
    """At most so many of (n, dim) rows, in an order of their own: the same whatever order they come
    in."""
    line = np.random.default_rng(1).standard_normal(rows.shape[1], dtype=np.float32)
    order = np.argsort(rows.astype(np.float32, copy=False) @ line, kind="stable")
    return np.asarray(rows[order[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]])


def halves(days: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Of each day's rows, as `spread_out` left them, those that set a scale and those that are
    compared."""
    return [d[::2] for d in days], [d[1::2] for d in days]


def check_comparable(window: Array, reference: Array) -> None:
    """(n, dim) and (m, dim) finite rows. Raises IncomparableError."""
    ours, theirs = window.shape[1], reference.shape[1]
    if ours != theirs:
        raise IncomparableError(
            f"not comparable: {ours} dimensions in the window, {theirs} in the reference"
        )
    for rows, what in ((window, "the window"), (reference, "the reference")):
        if not np.isfinite(rows.sum()):
            bad = f"{int((~np.isfinite(rows).all(axis=1)).sum())} of {len(rows)} embeddings of {what}"
            raise IncomparableError(f"not comparable: {bad} are not finite numbers")
