"""How picks are drawn: a fixed number of rows, each with a chance that is known exactly.

Picks are drawn, not cut off, so every logged row has a positive chance and the chosen labels still
give an unbiased picture of all traffic (Horvitz and Thompson, 1952).
"""

from __future__ import annotations

import numpy as np

from core.arrays import Array


def inclusion(weights: Array, size: float) -> Array:
    """Chances (n,) proportional to `weights` (n,) >= 0, capped at 1, that sum to `size`, or to the
    number of weights that are not 0 where that is less.

    Rows whose share would exceed 1 are certain; the rest share what is left (Tillé, Sampling
    Algorithms, 2006, section 2.10).

    >>> inclusion(np.array([1.0, 1.0, 2.0]), 2).tolist()
    [0.5, 0.5, 1.0]
    """
    weights = np.asarray(weights, dtype=np.float64)
    open_ = weights > 0
    if size >= open_.sum():
        return open_.astype(np.float64)
    chance = np.zeros(len(weights))
    certain = np.zeros(len(weights), dtype=bool)
    while open_.any() and size > certain.sum():
        left = size - certain.sum()
        chance[open_] = weights[open_] * (left / weights[open_].sum())
        over = open_ & (chance >= 1)
        if not over.any():
            break
        chance[over] = 1.0
        certain |= over
        open_ &= ~over
    return chance


def systematic(chance: Array, rng: np.random.Generator, groups: Array | None = None) -> Array:
    """Positions drawn with exactly these chances (n,), sum(chance) of them (Madow, 1949).

    The rows are walked in random order with one random start, in equal steps of 1. The rows of one of
    `groups` (n,) stand side by side, so a group of summed chance A is hit with chance min(1, A).
    """
    n = len(chance)
    if groups is None:
        order = rng.permutation(n)
    else:
        places = rng.permutation(int(groups.max(initial=-1)) + 1)
        order = np.argsort(places[groups] + rng.random(n))
    size = round(float(chance.sum()))
    steps = np.cumsum(chance[order])
    points = rng.random() + np.arange(size)
    found = np.searchsorted(steps, np.minimum(points, steps[-1] - 1e-12)) if size else []
    return np.unique(order[np.asarray(found, dtype=int)])


def pivotal(chance: Array, order: Array, rng: np.random.Generator) -> Array:
    """Positions drawn with exactly these chances (n,), sum(chance) of them, apart in `order` (n,).

    Neighbours in the order meet in pairs, as in a tournament: one gives its chance to the other, or the
    other is taken and keeps the rest (Deville and Tillé 1998). So rows that stand near each other are
    hardly ever taken together, and any such draw is negatively associated (Brown Kramer, Cutler
    and Radcliffe 2011), which the bets of `triggers/betting.py` rest on.

    >>> pivotal(np.array([0.0, 0.5, 1.0, 0.5]), np.arange(4), np.random.default_rng(0)).tolist()
    [2, 3]
    """
    taken = np.zeros(len(chance), dtype=bool)
    rows, left = np.asarray(order), np.asarray(chance, dtype=np.float64)[order]
    while len(rows) > 1:
        last = len(rows) % 2  # sits out
        kept_rows, kept_left = rows[len(rows) - last :], left[len(rows) - last :]
        rows, left = _met(rows[: len(rows) - last], left[: len(left) - last], taken, rng)
        rows, left = np.concatenate([rows, kept_rows]), np.concatenate([left, kept_left])
    taken[rows[rng.random(len(rows)) < left]] = True  # 0 or 1 but for rounding
    return np.flatnonzero(taken)


def _met(rows: Array, left: Array, taken: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The rows still open after pairs met, and what chance each has left; marks those `taken`."""
    (one, other), (a, b) = (rows[0::2], rows[1::2]), (left[0::2], left[1::2])
    both, few = a + b, a + b < 1
    with np.errstate(divide="ignore", invalid="ignore"):
        first_stays = np.where(few, a / both, (1 - a) / (2 - both))
    stays = rng.random(len(a)) < np.nan_to_num(first_stays, nan=0.5)
    taken[np.where(stays, other, one)[~few]] = True
    return np.where(stays, one, other), np.where(few, both, both - 1)
