"""How picks are drawn: a fixed number of rows, each with a chance that is known exactly.

Picks are drawn, not cut off, so every logged row has a positive chance and the chosen labels still
give an unbiased picture of all traffic (Horvitz and Thompson, 1952).
"""

from __future__ import annotations

import numpy as np

from core.records import Array


def inclusion(weights: Array, size: int) -> Array:
    """Chances (n,) proportional to `weights` (n,) > 0, capped at 1, that sum to min(size, n).

    Rows whose share would exceed 1 are certain; the rest share what is left (Tillé, Sampling
    Algorithms, 2006, section 2.10).

    >>> inclusion(np.array([1.0, 1.0, 2.0]), 2).tolist()
    [0.5, 0.5, 1.0]
    """
    weights = np.asarray(weights, dtype=np.float64)
    if size >= len(weights):
        return np.ones(len(weights))
    chance = np.zeros(len(weights))
    open_ = np.ones(len(weights), dtype=bool)
    while open_.any() and size > (~open_).sum():
        left = size - (~open_).sum()
        chance[open_] = weights[open_] * left / weights[open_].sum()
        certain = open_ & (chance >= 1)
        if not certain.any():
            break
        chance[certain] = 1.0
        open_ &= ~certain
    return chance


def systematic(chance: Array, rng: np.random.Generator) -> Array:
    """Positions drawn with exactly these chances (n,), sum(chance) of them (Madow, 1949).

    The rows are walked in random order with one random start, in equal steps of 1.
    """
    order = rng.permutation(len(chance))
    size = round(float(chance.sum()))
    steps = np.cumsum(chance[order])
    points = rng.random() + np.arange(size)
    found = np.searchsorted(steps, np.minimum(points, steps[-1] - 1e-12)) if size else []
    return np.unique(order[np.asarray(found, dtype=int)])
