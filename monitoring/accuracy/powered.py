"""How often the answers of some days were right, from few labels, most of them picked on purpose.

Of an answer with a label it is known. Of the rest it is predicted: each has a chance to be right
(calibration.py), and all chances are moved by the same log odds until the labelled answers, each
standing for the (1 - p) / p unlabelled ones that its chance p of a label left out, are right as often
as their own chances say. So a row that was certain to be picked speaks for itself alone (cosmetic
calibration, Brewer 1999; Särndal and Wright 1984). However bad the chances are, the mean is right on
average: prediction-powered inference (Angelopoulos et al. 2023; with picks Zrnic and Candès 2024),
for yes and no as in Firth and Bennett (1998). How far the chances are trusted is tuned on the labels
(PPI++, Angelopoulos, Duchi and Zrnic 2024).

The interval is a score interval, as Wilson's (1927): a share is within it unless labels like these are
too unlikely where it is the true one. Errors are rare, so value +- 2 standard errors would be lopsided.
The audit labels alone are an even draw, with Wilson's interval. Where ours would be the wider one, it
is drawn in until it is as wide as theirs: fewer standard errors, around a value that is nearer to the
truth than theirs on average, since it knows their labels and more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.intervals import share
from monitoring.accuracy.calibration import likeliest, odds, sigmoid

SIDE = 0.99  # each end for one look: days overlap, a miss lasts, and 95 % of days are to be covered
PRIOR_LABELS = 100.0  # labels that say "the chances scatter as chances do", before any does
FAR = 30.0  # log odds: as good as never, as good as always


@dataclass(frozen=True)
class DrawnLabels:
    """Labelled answers that were drawn for it."""

    right: Array  # (n,) 0 or 1
    said: Array  # (n,) predicted chance that each is right; its own label was not known by then
    chance: Array  # (n,) in (0, 1] that it got its label
    audit: Array  # (n,) bool: drawn evenly

    def __len__(self) -> int:
        return len(self.right)

    @property
    def stand_for(self) -> Array:
        """(n,) how many answers without a label each stands for."""
        return np.asarray((1 - self.chance) / self.chance)

    @property
    def worth(self) -> float:
        """Labels drawn evenly that would say as much of the answers without one (Kish 1965)."""
        return worth(self.stand_for)


@dataclass(frozen=True)
class AccuracyEstimate:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float
    trust: float  # in the predicted chances. 0: labels alone, 1: they are as they say


def worth(weight: Array) -> float:
    square = float(weight @ weight)
    return float(weight.sum()) ** 2 / square if square else float(len(weight))


def prediction_powered(labels: DrawnLabels, others: Array, answers: float) -> AccuracyEstimate:
    """Share of right ones among so many answers.

    labels: at least one; others: (m,) chances of the answers without a label, or of an even draw of
    them.

    >>> right = np.array([1, 1, 0, 0, 1.0])
    >>> few = DrawnLabels(right, np.full(5, 0.6), np.full(5, 0.01), np.full(5, True))
    >>> found = prediction_powered(few, np.full(9, 0.6), 500)
    >>> [round(x, 2) for x in (found.value, found.low, found.high, *share(3, 5))]
    [0.6, 0.23, 0.88, 0.23, 0.88]
    """
    known, rest = float(labels.right.sum()), max(answers - len(labels), 0.0)
    stand_for = labels.stand_for
    if rest < 0.5 or not len(others) or not stand_for.any():
        value = known / len(labels)
        return AccuracyEstimate(value, value, value, 0.0)
    trust = _trust(labels)
    moved = _LogOddsShift(
        many=trust * odds(others),
        right=labels.right,
        few=trust * odds(labels.said),
        weight=stand_for / stand_for.sum(),
        spread=stand_for / labels.chance / stand_for.sum() ** 2,
    )
    score = moved.score(labels.worth)

    def at(by: float) -> float:
        return (known + rest * moved.share(by)) / answers

    def bounds(z: float) -> tuple[float, float]:
        low, high = _crossing(lambda by: score(by) - z), _crossing(lambda by: score(by) + z)
        return at(low), at(high)

    audit = labels.right[labels.audit]
    low, high = _no_wider(bounds, labels.worth, np.ptp(share(float(audit.sum()), len(audit))))
    return AccuracyEstimate(at(_crossing(moved.balance)), low, high, trust)


def _no_wider(
    bounds: Callable[[float], tuple[float, float]], worth: float, widest: float
) -> tuple[float, float]:
    """The bounds at Student's standard errors, or at as many as make them as wide as they may be."""
    from scipy.optimize import brentq
    from scipy.special import stdtrit

    def over(z: float) -> float:
        return float(np.ptp(bounds(z))) - widest

    z = float(stdtrit(worth, SIDE))
    return bounds(z if over(z) <= 0 else max(0.0, float(brentq(over, 0.0, z, xtol=1e-9)) - 1e-9))


@dataclass(frozen=True)
class _LogOddsShift:
    """All chances moved by the same log odds `by`: what is then said of the rest, and of the labels."""

    many: Array  # (m,) log odds
    right: Array  # (n,)
    few: Array  # (n,) log odds
    weight: Array  # (n,) that sum to 1
    spread: Array  # (n,) what the scatter of each adds to the variance of the balance

    def share(self, by: float) -> float:
        if abs(by) >= FAR:
            return float(by > 0)
        return float(sigmoid(self.many + by).mean())

    def balance(self, by: float) -> float:
        """Right more often than said, or less. Its mean is 0 at the share that is true."""
        return float(self.weight @ (self.right - sigmoid(self.few + by)))

    def surprise(self, by: float, worth: float) -> float:
        """How much farther the labels are off than chances are by nature: the dispersion of a
        quasi-likelihood (McCullagh and Nelder 1989, 4.5), from few labels near 1, and at least 1."""
        said = sigmoid(self.few + by)
        usual = float(self.spread @ (said * (1 - said)))
        if usual < 1e-12:
            return 1.0
        ratio = float(self.spread @ (self.right - said) ** 2) / usual
        return max(1.0, (worth * ratio + PRIOR_LABELS) / (worth + PRIOR_LABELS))

    def score(self, worth: float) -> Callable[[float], float]:
        """The balance in standard errors that it would have, were this the truth."""
        surprise = self.surprise(_crossing(self.balance), worth)

        def of(by: float) -> float:
            said = sigmoid(self.few + by)
            variance = surprise * float(self.spread @ (said * (1 - said)))
            return self.balance(by) / float(np.sqrt(max(variance, 1e-18)))

        return of


def _crossing(falling: Callable[[float], float]) -> float:
    """Where a falling function of log odds passes 0; FAR to a side where it does not."""
    from scipy.optimize import brentq

    if falling(-FAR) <= 0:
        return -FAR
    if falling(FAR) >= 0:
        return FAR
    return float(brentq(falling, -FAR, FAR, xtol=1e-7))


def _trust(labels: DrawnLabels) -> float:
    """The slope of what was right on the log odds of its chance: 1 where chances are as they say, 0
    where they say nothing. They were learnt from labels before these, so few labels leave it at 1."""
    features = np.column_stack([np.ones(len(labels)), odds(labels.said)])
    stand_for = labels.stand_for
    as_many = stand_for / stand_for.sum() * labels.worth
    prior, precision = np.array([0.0, 1.0]), np.array([1.0, 4.0])
    return float(np.clip(likeliest(features, labels.right, as_many, prior, precision)[1], 0.0, 1.0))
