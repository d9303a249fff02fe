"""Shares with an interval, of answers that were drawn evenly or with known chances."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.arrays import Array
from core.intervals import share


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

    >>> import numpy as np
    >>> weighted(np.array([True, False]), np.array([0.1, 1.0])).value.__round__(3)
    0.909
    """
    weight = 1 / propensity
    value = min(1.0, float((weight * right).sum() / weight.sum()))
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    return Estimate(value, *share(value * effective, effective), len(right), effective)


def noise(now: Estimate, usual: Estimate) -> float:
    """Standard deviation of the difference of two shares, where both are the usual one. Where that was
    never seen the noise is not zero: one more of each (Laplace's rule)."""
    share = (usual.value * usual.effective + 1) / (usual.effective + 2)
    return math.sqrt(share * (1 - share) * (1 / now.effective + 1 / usual.effective))
