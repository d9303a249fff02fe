"""Rows that are like nothing the model has learnt and not like each other either: out of scope.

They make no group, so only their number tells. A row is strange when it is farther from everything
learnt than all but a STRANGE share of the doubted rows of the reference. There are more of them than
usual when their share of the window is above the mean of the reference's days by `sds` standard
deviations: of a count, and of days among each other.
"""

from __future__ import annotations

import numpy as np

from core.arrays import Array

STRANGE = 0.05
MIN_DAYS = 2  # of a reference
MIN_DAY_ROWS = 10


def out_of_scope_rows(near: Array, ago: Array, rows_a_day: dict[int, float], sds: float) -> Array:
    """Positions of the window's strange rows, strangest first; none where that is no more than usual.

    near: (n,) cosine of each doubted row to the nearest that was learnt; ago: (n,) its day, 0 is the
    window; rows_a_day: how many rows each day has in all, of which these are the doubted ones.

    >>> near, ago = np.tile(np.linspace(0.4, 0.8, 40), 8), np.repeat(np.arange(8), 40)
    >>> rows = dict.fromkeys(range(8), 100.0)
    >>> for cosines in (near, near - 0.2 * (ago == 0)):
    ...     len(out_of_scope_rows(cosines, ago, rows, 3.5))
    0
    22
    """
    days = [d for d, rows in sorted(rows_a_day.items()) if rows >= MIN_DAY_ROWS]
    if len(days) < MIN_DAYS + 1 or days[0] != 0 or not (ago > 0).any():
        return np.zeros(0, dtype=int)
    strange = near < np.quantile(near[ago > 0], STRANGE)
    shares = np.array([strange[ago == d].sum() / rows_a_day[d] for d in days])
    usual, among_days = shares[1:].mean(), shares[1:].var(ddof=1)
    # where none was ever seen the noise is not zero: one row of each side (Laplace's rule)
    rows = np.array([rows_a_day[d] for d in days])
    share = (usual * rows[1:].sum() + 1) / (rows[1:].sum() + 2)
    sd = np.sqrt(share * (1 - share) * (1 / rows[0] + 1 / rows[1:].sum()) + among_days)
    if shares[0] <= usual + sds * sd:
        return np.zeros(0, dtype=int)
    found = np.flatnonzero(strange & (ago == 0))
    return np.asarray(found[np.argsort(near[found], kind="stable")])
