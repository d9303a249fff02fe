"""Accuracy from many predicted chances and few labels: the chances are made right by the labels.

Prediction-powered inference (Angelopoulos et al. 2023), as surveys do it where answers are yes or no:
all predicted chances are moved by the same log odds until the labelled answers, each weighing as many
as it stands for, are right as often as their chances say (Firth and Bennett 1998, internally
bias-calibrated regression; Lehtonen and Veijanen 1998). The mean chance of all answers is then right on
average however bad the chances are; good ones only make it narrow. How much they are trusted is tuned
on the labels, as in PPI++ (Angelopoulos, Duchi and Zrnic 2024); labels picked with unequal chances
weigh 1 / chance (active inference, Zrnic and Candès 2024).

The interval is a score interval, as Wilson's (1927) is, and with chances that are not trusted it is
his: a share is within it unless labels like these are too unlikely where it is the true one. Errors
are rare, so the few among the labels say little of how much their number varies; an interval built on
that (value +- 2 standard errors) is too short where by luck few were drawn, and lopsided. How far the
labels are off is itself known from them only, so few of them widen it as Student's t does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.records import Array
from monitoring.estimates.answers import Answers
from monitoring.estimates.calibration import fit, likeliest, sigmoid

TUNED_AT = 100  # labels at which the bounds for all looks are tightest; they hold at any number
PRIOR_LABELS = 100.0  # labels that say "the chances scatter as chances do", before any does
FAR = 30.0  # log odds: as good as never, as good as always


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


def rectified(chances: Array, right: Array, labelled: Array, propensity: Array) -> Powered:
    """Share of right answers among many, of which n >= 1 are labelled.

    chances: (N,) of all answers or an even draw of them; right: (n,) 0 or 1; labelled: (n,) chances of
    those; propensity: (n,) chance in (0, 1] that each got its label.

    >>> chances, right = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 1, 0, 0, 1.0])
    >>> labelled = np.array([0.9, 0.9, 0.1, 0.1, 0.9])
    >>> found = rectified(chances, right, labelled, np.full(5, 0.01))
    >>> [round(x, 2) for x in (found.value, *found.once, found.trust)]
    [0.52, 0.14, 0.9, 1.0]
    """
    weight = 1 / propensity / (1 / propensity).sum()
    from scipy.special import stdtrit

    trust = _trust(right, labelled, weight)
    moved = _Moved(trust * odds(chances), right, trust * odds(labelled), weight, 1 - propensity)
    middle = _crossing(moved.balance)
    surprise = moved.surprise(middle)

    def bounds(z: float) -> tuple[float, float]:
        score = partial(moved.score, surprise=surprise)
        low, high = _crossing(lambda by: score(by) - z), _crossing(lambda by: score(by) + z)
        return moved.share(low), moved.share(high)

    n = len(right)
    return Powered(moved.share(middle), *bounds(_always(n)), bounds(float(stdtrit(n, 0.975))), n, trust)


@dataclass(frozen=True)
class _Moved:
    """All chances moved by the same log odds `by`: what is then said of all, and of the labelled."""

    many: Array  # (N,) log odds
    right: Array  # (n,)
    few: Array  # (n,) log odds
    weight: Array  # (n,) that sum to 1
    unseen: Array  # (n,) chance that the label had not come: what came for certain does not vary

    def share(self, by: float) -> float:
        if abs(by) >= FAR:
            return float(by > 0)
        return float(sigmoid(self.many + by).mean())

    def balance(self, by: float) -> float:
        """Right more often than said, or less. Its mean is 0 at the share that is true."""
        return float(self.weight @ (self.right - sigmoid(self.few + by)))

    def surprise(self, by: float) -> float:
        """How much farther the labels are off than chances are by nature: the dispersion of a
        quasi-likelihood (McCullagh and Nelder 1989, 4.5), from few labels near 1, and at least 1."""
        said, square = sigmoid(self.few + by), self.weight**2 * self.unseen
        usual, n = float(square @ (said * (1 - said))), 1 / float((self.weight**2).sum())
        if usual < 1e-12:
            return 1.0
        ratio = float(square @ (self.right - said) ** 2) / usual
        return max(1.0, (n * ratio + PRIOR_LABELS) / (n + PRIOR_LABELS))

    def score(self, by: float, surprise: float) -> float:
        """The balance in standard errors that it would have, were this the truth."""
        said, many = sigmoid(self.few + by), sigmoid(self.many + by)
        variance = surprise * float((self.weight**2 * self.unseen) @ (said * (1 - said)))
        variance += float(many.var()) / len(many)
        return self.balance(by) / float(np.sqrt(max(variance, 1e-18)))


def _crossing(falling: Callable[[float], float]) -> float:
    """Where a falling function of log odds passes 0; FAR to a side where it does not."""
    from scipy.optimize import brentq

    if falling(-FAR) <= 0:
        return -FAR
    if falling(FAR) >= 0:
        return FAR
    return float(brentq(falling, -FAR, FAR, xtol=1e-7))


def _trust(right: Array, labelled: Array, weight: Array) -> float:
    """The slope of what was right on the log odds of its chance: 1 where chances are as they say, 0
    where they say nothing. They were learnt from labels before these, so few labels leave it at 1."""
    features = np.column_stack([np.ones(len(right)), odds(labelled)])
    as_many = weight / float((weight**2).sum())
    prior, precision = np.array([0.0, 1.0]), np.array([1.0, 4.0])
    return float(np.clip(likeliest(features, right, as_many, prior, precision)[1], 0.0, 1.0))


def odds(chances: Array) -> Array:
    inside = np.clip(chances, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(inside / (1 - inside)))


def _always(n: int) -> float:
    """Standard errors to either side that are enough at every n at once, with 95 %: the boundary of an
    asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, theorem 2.2).
    It also holds where the mean moves: it is then that of the mean so far."""
    tight = -2 * np.log(0.05)
    grown = 1 + n * (tight + np.log(tight) + 1) / TUNED_AT
    return float(np.sqrt(2 * grown / (grown - 1) * np.log(np.sqrt(grown) / 0.05)))
