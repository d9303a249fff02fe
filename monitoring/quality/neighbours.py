"""How near rows are to others: to a bounded set of known ones, and to each other.

Both are matrix products against a fixed number of rows, so they are linear in rows, and so that the
answer for 1,000 rows of some traffic is that for 100,000: the nearest of ever more rows is ever nearer.
"""

from __future__ import annotations

import numpy as np

from core.records import Array

BLOCK_ROWS = 4096
GROUP = 100  # rows that are compared with each other
ALIKE = 0.98  # cosine of near-duplicates


def novelty(rows: Array, known: Array) -> Array:
    """(n,) cosine distance of each of (n, dim) rows to the nearest of (m, dim) known ones, 0 to 2; NaN
    for a row that has no direction."""
    ours, theirs = _unit(rows), _unit(known)
    theirs = theirs[np.isfinite(theirs).all(axis=1)]
    if len(theirs) == 0 or ours.shape[1] != theirs.shape[1]:
        return np.full(len(rows), np.nan)
    blocks = range(0, len(ours), BLOCK_ROWS)
    near = [(ours[i : i + BLOCK_ROWS] @ theirs.T).max(axis=1) for i in blocks]
    return np.clip(1 - np.concatenate(near), 0, 2) if near else np.zeros(0)


def duplicated(rows: Array) -> Array:
    """(n,) 1 where one of GROUP - 1 rows beside it is nearly the same, else 0; NaN for a row that has
    no direction, and for all where there are fewer than GROUP. The order decides who is compared."""
    units = _unit(rows)
    sound = np.flatnonzero(np.isfinite(units).all(axis=1))
    found = np.full(len(rows), np.nan)
    if len(sound) < GROUP:
        return found
    starts = np.minimum(np.arange(0, len(sound), GROUP), len(sound) - GROUP)
    for i in starts[::-1]:  # the last group may take in rows of the one before, which has its own say
        group = sound[i : i + GROUP]
        cosine = units[group] @ units[group].T
        np.fill_diagonal(cosine, -1)
        found[group] = cosine.max(axis=1) > ALIKE
    return found


def _unit(rows: Array) -> Array:
    """Rows of length 1; NaN where a row has no direction."""
    with np.errstate(all="ignore"):
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        length = np.where((length > 0) & np.isfinite(length), length, np.nan)
        return np.asarray(rows / length[:, None], dtype=np.float32)
