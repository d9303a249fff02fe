"""How often the model is right, from the few labels there are, however they were chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.intervals import share
from core.records import Array


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval and the number of labels behind it."""

    value: float
    low: float
    high: float
    labels: int
    effective: float  # labels that a uniform draw would need to say as much


def plain(right: Array) -> Estimate:
    """Share of True in (n,) uniformly drawn answers."""
    value = float(right.mean())
    return Estimate(value, *share(int(right.sum()), len(right)), len(right), len(right))


def weighted(right: Array, propensity: Array) -> Estimate:
    """The same from answers drawn with unequal chances (n,) in (0, 1]: each stands for 1 / propensity
    answers (Hájek 1971). Interval: Wilson at Kish's (1965) effective number of labels.

    >>> weighted(np.array([True, False]), np.array([0.1, 1.0])).value.__round__(3)
    0.909
    """
    weight = 1 / propensity
    value = min(1.0, float((weight * right).sum() / weight.sum()))
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    return Estimate(value, *share(value * effective, effective), len(right), effective)


def macro_f1(truth: Array, predicted: Array, *, seed: int = 0, draws: int = 400) -> Estimate:
    """Mean F1 over the labels that are a truth or an answer among (n,) pairs; 95 % percentile interval
    of a seeded bootstrap (Efron 1979). With few rows a label it is rough, and the interval says so.

    >>> truth, predicted = np.array(["a", "a", "b", "b"]), np.array(["a", "a", "b", "a"])
    >>> round(macro_f1(truth, predicted).value, 3)
    0.733
    """
    codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)[1]
    pairs, labels = codes.reshape(2, -1), int(codes.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = [_macro(pairs[:, rng.integers(0, len(truth), len(truth))], labels) for _ in range(draws)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(_macro(pairs, labels), float(low), float(high), len(truth), len(truth))


def _macro(pairs: Array, labels: int) -> float:
    truth, predicted = (np.bincount(side, minlength=labels) for side in pairs)
    hits = np.bincount(pairs[0][pairs[0] == pairs[1]], minlength=labels)
    seen = truth + predicted > 0
    return float((2 * hits[seen] / (truth + predicted)[seen]).mean())
