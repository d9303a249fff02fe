"""Statistics that may be looked at after every observation: e-values and confidence sequences.

A bettor starts with 1 and bets against "the mean is at most m", never more than there is. If that is
true, nobody expects to gain, and by Ville's inequality (1939) the money ever passes 1 / alpha with a
chance of at most alpha, however often one looks and whatever makes one stop.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from core.records import Array

STAKES = np.geomspace(0.01, 0.98, 24)  # shares of the money put at risk, one bettor each
EXACT = 1e-9  # of a bound


def evidence(x: Array, at_most: float) -> Array:
    """Running e-value (t,) against "each x, given those before, has a mean of at most `at_most`".

    x: (t,) in [0, 1], in the order they came. Reject at level alpha once it has passed 1 / alpha.
    The mean over bettors who put the same share f of their money on every x: one grows by
    1 + f (x / m - 1) (diversified Kelly betting, Waudby-Smith and Ramdas 2024). It grows
    as fast as the best of them but for log(24), and it falls where `at_most` rises.

    >>> evidence(np.ones(8), 0.5).round(2).tolist()
    [1.22, 1.57, 2.12, 3.04, 4.62, 7.37, 12.29, 21.23]
    """
    x = _bounded(x)
    if not 0 < at_most < 1:
        raise ValueError(f"a mean in (0, 1) is needed, not {at_most}")
    with np.errstate(over="ignore"):
        won: Array = np.exp(_together(_money(x, at_most)))
    return won


def _money(x: Array, at_most: float) -> Array:
    """(24, t) logarithm of what each bettor has."""
    return np.asarray(np.cumsum(np.log1p(STAKES[:, None] * (x / at_most - 1)), axis=1))


def _together(money: Array) -> Array:
    """(t,) logarithm of the bettors' mean."""
    richest = money.max(axis=0)
    return np.asarray(richest + np.log(np.exp(money - richest).mean(axis=0)))


def interval(x: Array, alpha: float = 0.05) -> tuple[float, float]:
    """Bounds of the mean of x (t,) in [0, 1] that hold with chance 1 - alpha at every t at once.

    What the bettors against a mean that is too low and one that is too high have not yet refuted,
    at any time so far (Waudby-Smith and Ramdas 2024). Without any x: (0, 1).

    >>> [round(b, 2) for b in interval(np.tile([1.0, 1, 1, 1, 0], 20))]
    [0.66, 0.91]
    """
    x = _bounded(x)
    return _refuted(x, alpha / 2), 1 - _refuted(1 - x, alpha / 2)


def _refuted(x: Array, alpha: float) -> float:
    """The largest mean, to EXACT, that x has shown to be too low: evidence falls as it rises, and the
    method of Brent (1973) finds where."""

    def over(mean: float) -> float:
        return float(_together(_money(x, mean)).max() + np.log(alpha))

    if len(x) == 0 or over(EXACT) < 0:
        return 0.0
    if over(1 - EXACT) >= 0:
        return 1 - EXACT
    return max(0.0, float(brentq(over, EXACT, 1 - EXACT, xtol=EXACT)) - EXACT)


def _bounded(x: Array) -> Array:
    x = np.asarray(x, dtype=float)
    if x.ndim != 1 or not ((x >= 0) & (x <= 1)).all():
        raise ValueError("numbers in 0..1 are needed, in one row")
    return x
