"""The classifier two-sample test: can a classifier tell the window from its reference?"""

from __future__ import annotations

import numpy as np

from core.arrays import Array
from monitoring.drift.features import SHRINKAGE, check_comparable
from monitoring.drift.threshold import DayVariation, DriftResult, Threshold


def classifier_drift(window: Array, reference: Array, rule: Threshold) -> DriftResult:
    """Balanced accuracy on rows that the classifier has not seen (Lopez-Paz & Oquab 2017); 0.5 is
    guessing.

    A linear discriminant (Fisher 1936) of (n, dim) against (m, dim), fitted on one half and tried
    on the other, both ways. Every second row along a line is in the same half, so the order of rows
    is nothing.
    """
    check_comparable(window, reference)
    halves = [_halves(window), _halves(reference)]
    right = [_accuracy(halves[0][i], halves[1][i], halves[0][1 - i], halves[1][1 - i]) for i in (0, 1)]
    sd = 0.25 * float(np.sqrt(1 / len(window) + 1 / len(reference)))
    return rule.compare(float(np.mean(right)), sd, DayVariation(0.5), len(reference))


def _halves(rows: Array) -> tuple[Array, Array]:
    line = np.random.default_rng(0).standard_normal(rows.shape[1])
    order = np.argsort(rows @ line, kind="stable")
    return rows[order[::2]].astype(np.float64), rows[order[1::2]].astype(np.float64)


def _accuracy(a: Array, b: Array, new_a: Array, new_b: Array) -> float:
    means = a.mean(axis=0), b.mean(axis=0)
    away = [x - m for x, m in zip((a, b), means, strict=True)]
    spread = sum(x.T @ x / len(x) for x in away) / 2
    size = float(np.trace(spread)) / len(spread)
    spread = (1 - SHRINKAGE) * spread + (SHRINKAGE * size + 1e-12) * np.eye(len(spread))
    towards = np.linalg.solve(spread, means[0] - means[1])
    middle = towards @ (means[0] + means[1]) / 2

    def share(rows: Array, sign: float) -> float:
        side = sign * (rows @ towards - middle)
        return float(((side > 0) + 0.5 * (side == 0)).mean())

    return (share(new_a, 1.0) + share(new_b, -1.0)) / 2
