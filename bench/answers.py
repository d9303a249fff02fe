"""Answered calls, and the numbers that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One call: which text, when it was due, sent and answered (monotonic seconds), and what came."""

    text: int
    due: float
    sent: float
    got: float
    status: int  # 0: the connection ended without an answer
    body: bytes


def summary(answers: Sequence[Answer], begin: float, seconds: float) -> dict[str, Any]:
    """Rate and latencies (ms) of what was answered in the `seconds` after `begin`; every failure."""
    good = [a for a in answers if a.status == 200]
    counted = [a for a in good if begin <= a.got < begin + seconds]
    waits = sorted((a.got - a.due) * 1000 for a in counted)
    faults = [f"{a.status} {a.body[:200].decode(errors='replace')}" for a in answers if a.status != 200]
    return {
        "count": len(counted),
        "failed": len(faults),
        "rate": len(counted) / seconds,
        **{f"p{p}": percentile(waits, p) for p in (50, 95, 99)},
        "faults": faults[:3],
    }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed; nan of none.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 99)
    (2.0, 4.0)
    """
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)] if ordered else float("nan")
