"""Work on a matrix of a million rows, some thousands at a time, in float32, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from core.records import Array

AT_A_TIME = 4096  # at 384 numbers a row they stay in a cache
MANY = 10  # parts that are worth starting threads for
MOST = 4  # threads


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrix products take one core here: several that wait for each other are slower in a crowd."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def rowwise(work: Callable[[Array], Array], matrix: Array) -> Array:
    """`work` of some rows of the matrix (n, k) at a time, its results (m, ...) joined.

    It is given a copy, which it may change. Rows over cores beat cores inside a matrix.
    """

    def part(start: int) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):  # a row that is no numbers has no worth
            return work(matrix[start : start + AT_A_TIME].astype(np.float32))

    starts = range(0, max(1, len(matrix)), AT_A_TIME)
    cores = min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if len(starts) < MANY or cores == 1:
        return np.concatenate([part(start) for start in starts])
    with one_thread(), ThreadPoolExecutor(cores) as threads:
        return np.concatenate(list(threads.map(part, starts)))
