"""Accuracy from many predicted chances and few labels: the chances are made right by the labels.

Prediction-powered inference (Angelopoulos et al. 2023): the mean predicted chance of all answers, plus
what the labelled ones say it is wrong by. It is right on average however bad the chances are; good ones
only make it narrow. How much they are trusted is tuned on the labels (PPI++, Angelopoulos, Duchi and
Zrnic 2024), and labels that were picked weigh as many answers as they stand for (active inference,
Zrnic and Candès 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.records import Array
from monitoring.accuracy import Z95
from monitoring.estimates.answers import Answers
from monitoring.estimates.calibration import fit

TUNED_AT = 100  # labels at which the bounds for all looks are tightest; they hold at any number


@dataclass(frozen=True)
class Powered:
    """A share with two intervals, and how far the chances were trusted."""

    value: float
    low: float  # 95 % for all looks while labels come in
    high: float
    once: tuple[float, float]  # 95 % for this one look, where there is no other
    labels: int
    trust: float  # 0: labels alone, 1: chances plus what the labels say they are wrong by


def chained(labelled: Answers, others: Answers) -> tuple[Array, Array]:
    """The chances that labelled (m,) and other answers (n,) are right, as they were known on their day:
    learnt from the labels of the days before. So neither a row's own label nor a later one is in what
    is said of it."""
    labelled_day, day = np.floor(labelled.days), np.floor(others.days)
    found = np.full(len(labelled), np.nan), np.zeros(len(others))
    for today in np.unique(day):
        calibrator = fit(labelled.take(labelled_day < today))
        for where, part, chances in (
            (labelled_day == today, labelled, found[0]),
            (day == today, others, found[1]),
        ):
            chances[where] = calibrator.chances(part.take(where))
    return found


def rectified(chances: Array, right: Array, labelled: Array, weight: Array) -> Powered:
    """Share of right answers among many, of which n >= 2 are labelled.

    chances: (N,) of an even draw of all answers; right: (n,) 0 or 1; labelled: (n,) chances of those;
    weight: (n,) answers that each stands for, 1 / propensity, on any scale (Hájek 1971).

    >>> chances, right = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 1, 0, 0, 1.0])
    >>> labelled = np.array([0.9, 0.9, 0.1, 0.1, 0.9])
    >>> round(rectified(chances, right, labelled, np.ones(5)).value, 3)
    0.556
    """
    weight = weight / weight.sum()
    trust = _trust(chances, right, labelled, weight)
    left = right - trust * labelled
    mean = float(weight @ left)
    value = min(1.0, max(0.0, trust * float(chances.mean()) + mean))
    variance = _variance(left - mean, weight, value) + trust**2 * float(chances.var()) / len(chances)
    for_one, for_all = (float(np.sqrt(variance)) * z for z in (Z95, _always(len(right))))
    low, high = _around(value, for_all)
    return Powered(value, low, high, _around(value, for_one), len(right), trust)


def _around(value: float, half: float) -> tuple[float, float]:
    return max(0.0, value - half), min(1.0, value + half)


def _trust(chances: Array, right: Array, labelled: Array, weight: Array) -> float:
    """How much of the chances makes the estimate narrowest (PPI++, equation 8): their slope on what was
    right, a little less where they are themselves the mean of few."""
    off = labelled - weight @ labelled
    spread = float(weight @ off**2)
    if spread < 1e-9:
        return 0.0
    slope = float(weight @ (off * right)) / spread
    return min(1.0, max(0.0, slope / (1 + 1 / float(weight @ weight) / len(chances))))


def _variance(off: Array, weight: Array, value: float) -> float:
    """Of a weighted mean, with one label more that goes against all others: a few that agree do not
    mean that nothing else ever comes."""
    n = len(off)
    seen = float(weight**2 @ off**2) * n / (n - 1)
    return seen + (max(value, 1 - value) / (n + 1)) ** 2


def _always(n: int) -> float:
    """Standard errors to either side that are enough at every n at once, with 95 %: the boundary of an
    asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, theorem 2.2).
    It also holds where the mean moves: it is then that of the mean so far."""
    tight = -2 * np.log(0.05)
    grown = 1 + n * (tight + np.log(tight) + 1) / TUNED_AT
    return float(np.sqrt(2 * grown / (grown - 1) * np.log(np.sqrt(grown) / 0.05)))
