"""95 % intervals of shares and of differences of shares. All of them are written here, or in a library.

    share(9, 10)                        one share                                 Wilson 1927
    at_most(9, 10, 0.975)               the largest it may be, exactly            Clopper, Pearson 1934
    paired_difference(3, 1, 40)         two models on the same rows               Agresti, Min 2005
    unpaired_difference((9, 10), ...)   two groups of users                       Newcombe 1998
    chance_of(3, 4)                     would a fair coin do it as often?         McNemar 1947, exact

None of them has width 0 where there is a row: few rows leave much open, however clear they look.
They are for one look.
"""

from __future__ import annotations

import math

Z95 = 1.959964
Bounds = tuple[float, float]
Interval = tuple[float, float, float]  # low, middle, high


def share(hits: float, n: float) -> Bounds:
    """A share seen in n independent draws; both may be effective numbers, so fractions.

    >>> [round(x, 3) for x in share(18, 20)]
    [0.699, 0.972]
    >>> share(0, 0)
    (0.0, 1.0)
    """
    if not n:
        return 0.0, 1.0
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, n, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))


def at_most(hits: int, n: int, confidence: float) -> float:
    """Upper confidence limit of a share.

    >>> round(at_most(6, 100, 0.975), 3)
    0.126
    """
    from scipy.special import bdtri

    return 1.0 if hits >= n else float(bdtri(hits, n, 1 - confidence))


def paired_difference(gained: int, lost: int, n: int) -> Interval:
    """Difference of two paired proportions: `gained` rows only the first has right, `lost` only the
    second, of `n`.

    The Wald interval of the difference after adding 1/2 to each cell of the two-by-two table: Agresti
    and Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24 (2005). Without the halves, three rows that all point one way would look certain.

    >>> [round(x, 2) for x in paired_difference(0, 3, 3)]
    [-1.0, -1.0, -0.02]
    >>> [round(x, 2) for x in paired_difference(1, 0, 1)]
    [-0.51, 1.0, 1.0]
    >>> paired_difference(0, 0, 0)
    (-1.0, 0.0, 1.0)
    """
    if n == 0:
        return -1.0, 0.0, 1.0
    b, c, m = gained + 0.5, lost + 0.5, n + 2
    centre = (b - c) / m
    half = Z95 * math.sqrt((b + c) - (b - c) ** 2 / m) / m
    return max(-1.0, centre - half), (gained - lost) / n, min(1.0, centre + half)


def unpaired_difference(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """Difference of two independent proportions, each (hits, of).

    The hybrid score interval: Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), method 10.

    >>> [round(x, 4) for x in unpaired_difference((56, 70), (48, 80))]  # the paper's first example
    [0.0524, 0.2, 0.3339]
    >>> unpaired_difference((0, 0), (3, 9))
    (-1.0, 0.0, 1.0)
    """
    if not first[1] or not second[1]:
        return -1.0, 0.0, 1.0
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    return float(low), first[0] / first[1] - second[0] / second[1], float(high)


def chance_of(least: int, of: int) -> float:
    """How often at least so many `of` tosses of a fair coin are heads.

    This is the exact one-sided McNemar test, where the tosses are the rows that only one of two models
    has right.

    >>> chance_of(4, 5)
    0.1875
    """
    from scipy.special import bdtrc

    return 1.0 if least <= 0 else float(bdtrc(least - 1, of, 0.5))
