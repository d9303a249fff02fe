"""Which shares moved, of predicted labels or of the values of a segment, and each one's part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from monitoring.explain.words import fisher_exact

ALPHA = 0.1  # share of the values named that luck explains, at most


@dataclass(frozen=True)
class ShareShift:
    """One value, its share before and now, and its part of the L1 distance of all shares."""

    column: str  # "label" or the name of a segment
    value: str
    before: float
    now: float
    part: float

    def __str__(self) -> str:
        return f"{self.value or '(none)'} {self.before:.1%} -> {self.now:.1%}"


def share_shifts(
    column: str, window: Sequence[str], reference: Sequence[str], days: Array, min_rows: int
) -> list[ShareShift]:
    """The values whose share moved by more than luck, the largest part of the L1 first.

    Luck is two things: drawing (Fisher's exact test, false discoveries held at ALPHA as Benjamini and
    Hochberg 1995 do), and what days of the reference do (`days` (m,) groups it; a share
    within their range has not moved).
    """
    if not len(window) or not len(reference):
        return []
    values, codes = np.unique(np.array([*window, *reference], dtype=str), return_inverse=True)
    n, m, k = len(window), len(reference), len(values)
    ours, theirs = np.bincount(codes[:n], minlength=k), np.bincount(codes[n:], minlength=k)
    now, before = ours / n, theirs / m
    from scipy.stats import false_discovery_control

    certain = false_discovery_control(fisher_exact(ours, theirs, n, m)) < ALPHA
    low, high = _range(codes[n:], days, k, min_rows)
    outside = (now < low) | (now > high)
    change = np.abs(now - before)
    order = sorted(np.flatnonzero(certain & outside), key=lambda i: (-change[i], values[i]))
    total = change.sum()
    return [
        ShareShift(column, str(values[i]), float(before[i]), float(now[i]), float(change[i] / total))
        for i in order
    ]


def _range(codes: Array, days: Array, k: int, min_rows: int) -> tuple[Array, Array]:
    """The lowest and highest share of each value on any day that has rows enough, (k,) each."""
    shares = [
        np.bincount(codes[days == day], minlength=k) / (days == day).sum()
        for day in np.unique(days)
        if (days == day).sum() >= min_rows
    ]
    if not shares:
        return np.full(k, np.inf), np.full(k, -np.inf)
    return np.min(shares, axis=0), np.max(shares, axis=0)
