"""Accuracy from picked labels alone: each stands for 1 / chance answers.

The answers of a known number N have the true share m of right ones. Then the picks, each weighing as
many as it stands for, balance: the mean of sum(weight (right - m)) / N is 0 whatever they were picked
for (Horvitz and Thompson 1952), and its variance is m (1 - m) / N times what an average answer adds,
(1 - p) / p. The share at which they balance is Hájek's (1971) ratio; the interval is all shares at
which they are off by no more than chance would have them (as Wilson 1927 for even draws).

What an answer adds is a mean over all answers. From the twenty picks of one day it is unknown: where
by luck no answer with a small chance was picked, the picks look as good as an even draw, and an
interval built on Kish's (1965) number of labels is sure of nonsense. So it is learnt from many days.
"""

from __future__ import annotations

import numpy as np

from core.intervals import Z95
from core.records import Array
from monitoring.accuracy import Estimate


def balanced(right: Array, propensity: Array, answers: float, spread: float) -> Estimate:
    """Share of right ones among so many answers, of which those labelled (n,) were picked with the
    chances `propensity` (n,) in (0, 1]. `spread`: what an average answer adds, see `spread_of`.

    With an even draw it is Wilson's interval, narrowed as nearly all answers have labels.

    >>> right, chance = np.array([1] * 18 + [0] * 2), np.full(20, 0.1)
    >>> found = balanced(right, chance, 200, spread_of(chance, 200))
    >>> [round(x, 3) for x in (found.value, found.low, found.high)], round(found.effective, 1)
    ([0.9, 0.712, 0.97], 22.2)
    """
    weight = 1 / propensity / answers
    seen, good = float(weight.sum()), float(weight @ right)
    slack = Z95**2 * spread / answers
    middle, width = 2 * seen * good + slack, slack * (slack + 4 * good * (seen - good))
    low, high = ((middle + s * np.sqrt(width)) / (2 * (seen**2 + slack)) for s in (-1, 1))
    worth = answers / spread if spread > 0 else np.inf
    return Estimate(good / seen, max(0.0, float(low)), min(1.0, float(high)), len(right), float(worth))


def spread_of(propensity: Array, answers: float) -> float:
    """The mean of (1 - p) / p over so many answers, from those of them that were picked (n,): each says
    so of 1 / p answers."""
    return float(((1 - propensity) / propensity**2).sum()) / answers
