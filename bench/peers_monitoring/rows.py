"""What a peer is given: rows with their day, and which of them are the reference of which.

Runs in an environment of its own, without Everloop: numpy only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Verdict = tuple[float, bool]  # score, more is more drift; whether the documented default calls it drift


@dataclass(frozen=True)
class Rows:
    """embedding (n, dim) float32, label (n,) as predicted, score (n,) confidence, length (n,)
    characters, day (n,), truth (n,) where the peer may know it."""

    embedding: np.ndarray
    label: np.ndarray
    score: np.ndarray
    length: np.ndarray
    day: np.ndarray

    def __len__(self) -> int:
        return len(self.day)

    def take(self, where: np.ndarray) -> "Rows":
        return Rows(*(getattr(self, n)[where] for n in self.__dataclass_fields__))

    def days(self, first: int, until: int) -> "Rows":
        return self.take((self.day >= first) & (self.day < until))


Judge = Callable[[Rows, Rows], dict[int, Verdict]]  # reference, windows -> by day of the windows


@dataclass(frozen=True)
class Detector:
    judge: Judge
    default: str  # its documented default, in words
    streaming: bool = False  # takes every row in turn and keeps its own reference


def each(fit: Callable[[Rows], Callable[[Rows], Verdict]]) -> Judge:
    """A judge of windows one at a time; the reference is read once."""

    def judge(reference: Rows, windows: Rows) -> dict[int, Verdict]:
        one = fit(reference)
        found = {int(d): one(windows.take(windows.day == d)) for d in np.unique(windows.day)}
        return {d: (float(score), bool(drift)) for d, (score, drift) in found.items()}

    return judge


def in_turn(rows: Rows, policy: str, size: int) -> Iterator[tuple[Rows, Rows]]:
    """Reference and windows: `fixed`, the first `size` days; `sliding`, those before each day."""
    last = int(rows.day.max()) + 1
    if policy == "fixed":
        yield rows.days(0, size), rows.days(size, last)
        return
    for day in range(size, last):
        yield rows.days(day - size, day), rows.days(day, day + 1)
