"""Work on a million rows, some thousands at a time, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from core.arrays import Array

AT_A_TIME = 4096  # at 384 numbers a row they stay in a cache
MANY = 40_000  # rows that are worth starting threads for
MOST = 4  # threads
T = TypeVar("T")


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrix products take one core here: several that wait for each other are slower in a crowd."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def each(work: Callable[[T], Array], items: Iterable[T], rows: int) -> list[Array]:
    """What `work` makes of each item, in their order; in threads where it is about many rows."""
    cores = min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if rows < MANY or cores == 1:
        return [work(item) for item in items]
    with one_thread(), ThreadPoolExecutor(cores) as threads:
        return list(threads.map(work, items))


def rowwise(work: Callable[[Array], Array], matrix: Array) -> Array:
    """`work` of some rows of the matrix (n, k) at a time, in float32, its results (m, ...) joined.

    It is given a copy, which it may change.
    """

    def part(start: int) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):  # a row that is no numbers has no worth
            return work(matrix[start : start + AT_A_TIME].astype(np.float32))

    return np.concatenate(each(part, range(0, max(1, len(matrix)), AT_A_TIME), len(matrix)))
