"""Distances between two sets of shares, (k,) or (g, k), each row of which sums to 1; 0 is the same.

What to use: L1 (twice the total variation: 0.1 is 5 % of the rows moved), L-infinity (the one class
that moved most) and, where the classes have an order, the Earth Mover's distance. All three are in
the unit of what they measure and do not grow with the number of rows.

PSI, KL, JS and KS are here for those who must report them, and are never an alarm by default: PSI
and KL go to infinity with one rare class that came or went and depend on the bins and the
smoothing; JS is bounded, but no easier to read; KS sees the largest gap of one variable only, and
its usual p-value proves any difference, however small, once there are rows enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from core.arrays import Array

Metric = Literal["mmd", "c2st", "l1", "linf", "emd", "psi", "kl", "js", "ks"]
Distance = Callable[[Array, Array], Array]
SMOOTH = 1e-4  # share of a class that was not seen: PSI and KL would be infinite


def l1(a: Array, b: Array) -> Array:
    """Sum of absolute differences, 0 to 2.

    >>> float(l1(np.array([0.5, 0.5]), np.array([0.5, 0.0])))
    0.5
    """
    return np.asarray(np.abs(a - b).sum(axis=-1))


def linf(a: Array, b: Array) -> Array:
    """The largest difference of one class, 0 to 1."""
    return np.asarray(np.abs(a - b).max(axis=-1))


def emd(a: Array, b: Array) -> Array:
    """Earth Mover's (Wasserstein-1) distance of ordered classes one step apart, as a share of the whole
    way from the first to the last (Rubner et al. 2000).

    >>> float(emd(np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])))
    1.0
    """
    steps = max(1, a.shape[-1] - 1)
    return np.asarray(np.abs(np.cumsum(a - b, axis=-1)).sum(axis=-1) / steps)


def psi(a: Array, b: Array) -> Array:
    """Population stability index: KL in both directions."""
    return kl(a, b) + kl(b, a)


def kl(a: Array, b: Array) -> Array:
    """Kullback-Leibler divergence of a from b, in nats."""
    a, b = a + SMOOTH, b + SMOOTH
    a, b = a / a.sum(axis=-1, keepdims=True), b / b.sum(axis=-1, keepdims=True)
    return np.asarray((a * np.log(a / b)).sum(axis=-1))


def js(a: Array, b: Array) -> Array:
    """Jensen-Shannon distance, 0 to 1: the root of the divergence in bits."""
    from scipy.special import rel_entr

    middle = (a + b) / 2
    nats = (rel_entr(a, middle) + rel_entr(b, middle)).sum(axis=-1) / 2
    return np.asarray(np.sqrt(np.maximum(0.0, nats / np.log(2))))


def ks(a: Array, b: Array) -> Array:
    """Kolmogorov-Smirnov: the largest gap between the distribution functions of ordered classes."""
    return np.asarray(np.abs(np.cumsum(a - b, axis=-1)).max(axis=-1))


SHARES: dict[str, Distance] = {f.__name__: f for f in (l1, linf, emd, psi, kl, js, ks)}
ORDERED = ("emd", "ks")  # that need classes in an order
