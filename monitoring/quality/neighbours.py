"""How near rows are to others: to a bounded set of known ones, and to each other.

Both are matrix products against a fixed number of rows, so they are linear in rows, and so that the
answer for 1,000 rows of some traffic is that for 100,000: the nearest of ever more rows is ever nearer.
"""

from __future__ import annotations

import numpy as np

from core.arrays import Array
from core.near import unit

BLOCK_ROWS = 4096
GROUP = 100  # rows that are compared with each other
NEAR_DUPLICATE = 0.98  # cosine of near-duplicates


def novelty(rows: Array, known: Array) -> Array:
    """(n,) cosine distance of each of (n, dim) rows to the nearest of (m, dim) known ones, 0 to 2; NaN
    for a row that has no direction."""
    ours, theirs = unit(rows), unit(known)
    theirs = theirs[theirs.any(axis=1)]
    found = np.full(len(rows), np.nan)
    if len(theirs) == 0 or ours.shape[1] != theirs.shape[1]:
        return found
    for i in range(0, len(ours), BLOCK_ROWS):
        found[i : i + BLOCK_ROWS] = 1 - (ours[i : i + BLOCK_ROWS] @ theirs.T).max(axis=1)
    return np.where(ours.any(axis=1), np.clip(found, 0, 2), np.nan)


def duplicated(rows: Array) -> Array:
    """(n,) 1 where one of GROUP - 1 rows beside it is nearly the same, else 0; NaN for a row that has
    no direction, and for all where there are fewer than GROUP. The order decides who is compared."""
    units = unit(rows)
    sound = np.flatnonzero(units.any(axis=1))
    found = np.full(len(rows), np.nan)
    if len(sound) < GROUP:
        return found
    starts = np.minimum(np.arange(0, len(sound), GROUP), len(sound) - GROUP)
    for i in starts[::-1]:  # the last group may take in rows of the one before, which has its own say
        group = sound[i : i + GROUP]
        cosine = units[group] @ units[group].T
        np.fill_diagonal(cosine, -1)
        found[group] = cosine.max(axis=1) > NEAR_DUPLICATE
    return found
