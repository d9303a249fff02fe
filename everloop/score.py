"""Prequential accuracy: each day scored by the model that served it, before its labels were known.

The frozen line costs no replay of its own: the first model's head scores the same stored embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.tasks import Task
from flows.session import Session


@dataclass(frozen=True)
class Day:
    day: str  # 2026-01-05
    requests: int
    right: float  # the sum of the scores of its answers
    frozen_right: float | None  # None where another encoder than the first model's served


def daily_scores(session: Session, truth: Mapping[str, str], start: datetime, days: int) -> list[Day]:
    """The days from `start` on that had requests. `truth` is request id -> label."""
    return list(_scored_days(session, truth, start, days))


def _scored_days(
    session: Session, truth: Mapping[str, str], start: datetime, days: int
) -> Iterator[Day]:
    first = session.registry.load("1")
    for n in range(days):
        day = start + timedelta(days=n)
        store = session.store.at(day + timedelta(days=1))
        window = store.answers.window(day, day + timedelta(days=1))
        if not len(window):
            continue
        expected = [store.label_set.last(truth.get(r, "")) for r in window.rows["request_id"]]
        right = _sum(session.task, window.rows["output"], expected)
        frozen = None
        if set(window.rows["encoder"]) == {first.identity}:
            said = first.under(store.label_set).answer(list(window.rows["text"]), window.embeddings)
            frozen = _sum(session.task, (answer.output for answer in said), expected)
        yield Day(f"{day:%Y-%m-%d}", len(window), right, frozen)


def _sum(task: Task, outputs: Iterable[str], truth: list[str]) -> float:
    return sum(task.score(o, t) or 0.0 for o, t in zip(outputs, truth, strict=True))


def accuracies(days: list[Day]) -> dict[str, Any]:
    """Overall and daily accuracy, looped and frozen; frozen is None where a day cannot be compared."""
    requests = sum(d.requests for d in days)
    frozen = [d.frozen_right for d in days if d.frozen_right is not None]
    comparable = len(frozen) == len(days)
    return {
        "requests": requests,
        "prequential_accuracy": sum(d.right for d in days) / max(requests, 1),
        "frozen_accuracy": sum(frozen) / max(requests, 1) if comparable else None,
        "daily_accuracy": [_share(d, d.right) for d in days],
        "frozen_daily_accuracy": [
            _share(d, d.frozen_right) for d in days if comparable and d.frozen_right is not None
        ],
    }


def _share(day: Day, right: float) -> dict[str, Any]:
    return {"day": day.day, "accuracy": right / day.requests, "requests": day.requests}
