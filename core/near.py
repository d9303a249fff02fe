"""Where rows lie, and which of them are near-copies of each other.

Both take time in proportion to the rows (but for a sort) and read an embedding twice at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.rowwise import AT_A_TIME, each, one_thread, rowwise

# Squared distance of near-copies, as a share of what two random rows have: a cosine of 0.98 for MiniLM
# on CLINC150, where 99 % of such pairs have one label. A share, as some encoders put all texts close.
NEAR = 0.022
# The same share beside rows that evaluate: what lies so near one neither trains nor is labelled to
# train. A cosine of 0.956 for MiniLM on CLINC150, where every such pair has one label: "why was my
# card declined yesterday" beside "i wonder why my card got declined yesterday". It costs 1.6 % of
# the rows beside 300 held-out ones; NEAR would cost 0.4 % and let that pair through.
PARAPHRASE = 0.05
DIGITS = 3  # of that distance, so that no machine's rounding moves it
LEAST = 1e-6  # a spread below this is rounding: the encoder tells nothing apart
ROUNDING = 1e-5  # of squared distances
PLACES = 32  # directions
SAMPLE = 8192  # rows that say which directions
BITS, LOOKS = 12, 3  # sides of a plane that near-copies share, and how often other planes are tried


def unit(rows: Array) -> Array:
    """(m, dim) rows of length 1, float32; what is no number, or no length, is all zeros."""
    with np.errstate(invalid="ignore", over="ignore"):  # rows that are no numbers
        scale = _scale(rows)
        scaled = rows * scale[:, None]
    scaled[scale == 0] = 0
    return np.asarray(scaled, dtype=np.float32)


def _scale(rows: Array) -> Array:
    """(m,) one over the length of each row, 0 where it has none."""
    lengths = np.sqrt(np.vecdot(rows, rows))
    able = np.isfinite(lengths) & (lengths > 0)
    return np.where(able, 1 / np.where(able, lengths, 1), 0)


@dataclass(frozen=True, eq=False)
class Map:
    """The directions in which rows differ most."""

    middle: Array  # (dim,)
    directions: Array  # (dim, k)
    close: float  # squared distance up to which two unit rows are near-copies

    def places(self, embeddings: Array) -> Array:
        """(m, dim) of any float -> (m, k) float32. No two rows are farther apart here than they are;
        what is no number lies in the middle."""
        origin = self.middle @ self.directions

        def work(part: Array) -> Array:
            scale = _scale(part)
            at = (part @ self.directions) * scale[:, None] - origin
            at[scale == 0] = 0
            return np.asarray(at)

        if len(embeddings) == 0 or embeddings.shape[1] == 0:
            return np.zeros((len(embeddings), self.directions.shape[1]), dtype=np.float32)
        return rowwise(work, embeddings)


def mapped(embeddings: Array) -> Map:
    """The PLACES principal directions of rows (n, dim) of any float, brought to length 1."""
    middle, spread, far = _spread(embeddings)
    with one_thread():
        directions = np.linalg.eigh(spread)[1][:, ::-1][:, :PLACES].copy()
    return Map(middle, directions, NEAR * far if far > LEAST else -1.0)


def fence(held: Array) -> float:
    """The squared distance of unit rows up to which one is too near one that evaluates.

    held: (m, dim) of any float. Their own spread is the scale, so that a check needs nothing but them;
    -1 where they are all alike.
    """
    far = _spread(held)[2]
    return float(f"{PARAPHRASE * far:.{DIGITS}g}") if far > LEAST else -1.0


def _spread(embeddings: Array) -> tuple[Array, Array, float]:
    """Of some of the rows (n, dim), brought to length 1: their middle (dim,), how they lie about it
    (dim, dim), and the squared distance expected of two of them."""
    sample = unit(embeddings[:: max(1, len(embeddings) // SAMPLE)].astype(np.float32))
    middle = sample.mean(axis=0) if len(sample) else np.zeros(embeddings.shape[1], dtype=np.float32)
    with one_thread():
        spread = (sample - middle).T @ (sample - middle)
    return middle, spread, 2 * float(np.trace(spread)) / max(1, len(sample))


def units(texts: Sequence[str], embeddings: Array, where: Array, close: float) -> Array:
    """(n,) the number of the group of near-copies each row is in: 0, 1, ... in order of first rows.

    Two rows are near-copies when their texts are the same, or the squared distance of their embeddings
    is `close` or less. Every row is one of the first row of its group, so likeness does not wander.
    Pairs are looked for among neighbours of a sort by random planes (Charikar 2002; the sorted
    neighbourhood of Hernandez and Stolfo 1995): most are found, and none that is not one.
    """
    import pandas as pd

    same = pd.factorize(np.array(texts, dtype=object))[0].astype(np.int64)
    if where.shape[1] == 0 or len(same) < 2:
        return same
    first = np.unique(same, return_index=True)[1]
    pairs = _pairs(where[first] if len(first) < len(same) else where, close)
    pairs = pairs[_near(embeddings, embeddings, first[pairs], close)]
    return _of_leaders(first, pairs, embeddings, close)[same]


def _pairs(at: Array, close: float) -> Array:
    """(p, 2) rows (k, places) that are neighbours in a sort, and near as far as their places tell."""
    rng = np.random.default_rng(0)
    planes = rng.standard_normal((LOOKS, at.shape[1], BITS + 1)).astype(np.float32)

    def look(some: Array) -> Array:
        lines = at @ some
        side = np.packbits(lines[:, :-1] > 0, axis=1) @ np.array([256.0, 1.0])
        order = np.argsort(side + 1 / (1 + np.exp(-lines[:, -1].astype(np.float64))))
        found = []
        for start in range(0, len(order), AT_A_TIME):  # few at a time stay in a cache
            walked = at[order[start : start + AT_A_TIME + 1]]
            step = walked[1:] - walked[:-1]
            found.append(start + np.flatnonzero(np.vecdot(step, step) <= close))
        near = np.concatenate(found)
        one, other = order[near], order[near + 1]
        return np.asarray(np.minimum(one, other) * len(at) + np.maximum(one, other))

    found = np.unique(np.concatenate(each(look, planes, len(at))))
    return np.stack(np.divmod(found, len(at)), axis=1)


def _of_leaders(first: Array, pairs: Array, embeddings: Array, close: float) -> Array:
    """(k,) numbers of groups of the rows `first` (k,), joined by pairs, each near its leader."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    k = len(first)
    if len(pairs) == 0:
        return np.arange(k)
    ones = np.ones(len(pairs), dtype=bool)
    group = connected_components(coo_array((ones, pairs.T), shape=(k, k)), directed=False)[1]
    leader = np.unique(group, return_index=True)[1][group]
    joined = np.flatnonzero(leader != np.arange(k))
    both = np.stack([first[joined], first[leader[joined]]], axis=1)
    far = joined[~_near(embeddings, embeddings, both, close)]
    leader[far] = far
    return np.unique(leader, return_inverse=True)[1]


def near_any(embeddings: Array, others: Array, where: tuple[Array, Array], close: float) -> Array:
    """(n,) whether each row (n, dim) is a near-copy of one of `others` (m, dim); `where` both lie.

    Exact: rows are never farther apart at their places than they are, so few are compared in full.
    """
    found, (at, there) = np.zeros(len(embeddings), dtype=bool), where
    lengths = np.vecdot(there, there)
    for i in range(0, len(at), AT_A_TIME):
        some = at[i : i + AT_A_TIME]
        squares = np.vecdot(some, some)[:, None] + lengths - 2 * (some @ there.T)
        pairs = np.argwhere(squares <= close + ROUNDING)
        pairs[:, 0] += i
        found[pairs[_near(embeddings, others, pairs, close), 0]] = True
    return found


def _near(rows: Array, others: Array, pairs: Array, close: float) -> Array:
    """(p,) whether row and other at these positions (p, 2) are near-copies."""

    def work(start: int) -> Array:
        some = pairs[start : start + AT_A_TIME]
        a, b = unit(rows[some[:, 0]].astype(np.float32)), unit(others[some[:, 1]].astype(np.float32))
        able = a.any(axis=1) & b.any(axis=1)
        return np.asarray(able & (np.vecdot(a - b, a - b) <= close))

    return np.concatenate(each(work, range(0, max(1, len(pairs)), AT_A_TIME), len(pairs)))
