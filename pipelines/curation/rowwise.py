"""Work on a matrix of a million rows, some thousands at a time, in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.records import Array

AT_A_TIME = 4096  # at 384 numbers a row they stay in a cache


def rowwise(work: Callable[[Array], Array], matrix: Array) -> Array:
    """`work` of some rows of the matrix (n, k) at a time, its results (m, ...) joined.

    It is given a copy, which it may change.
    """
    starts = range(0, max(1, len(matrix)), AT_A_TIME)
    with np.errstate(invalid="ignore", over="ignore"):  # a row that is no numbers has no worth
        return np.concatenate([work(matrix[i : i + AT_A_TIME].astype(np.float32)) for i in starts])
