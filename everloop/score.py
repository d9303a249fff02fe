"""Prequential accuracy: each day scored by the model that served it, before its labels were known.

The frozen line costs no replay of its own: the first model's head scores the same stored embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.models.base import Model
from core.records.windows import Window
from core.tasks import Task
from flows.answers import Asked, outputs
from flows.session import Session

FIRST = "1"  # version of the first model


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
    first = session.registry.load(FIRST)
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
            frozen = _sum(
                session.task, _frozen(session, first.under(store.label_set), window), expected
            )
        yield Day(f"{day:%Y-%m-%d}", len(window), right, frozen)


def _frozen(session: Session, first: Model, window: Window) -> list[str]:
    """What the first model says to each request. What it said when it served, it would say again."""
    said = window.rows["output"].to_numpy(dtype=object).copy()
    served = (window.rows["model_version"] == FIRST).to_numpy(dtype=bool) & session.task.costly
    rest = window.take(~served)
    asked = Asked(first, session.registry.path(FIRST))
    said[~served] = outputs(session, asked, rest.rows["text"].tolist(), rest.embeddings)
    return list(said)


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
