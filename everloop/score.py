"""Prequential accuracy: each day scored by the model that served it, before its labels were known.

The frozen line costs no replay of its own: the first model's head scores the same stored embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from core.arrays import Array
from core.models.base import Model, WritingModel
from core.records.windows import Window
from core.tasks import Task
from flows.answers import outputs
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
    load = cache(session.registry.load)
    first = load(FIRST)
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
            said = _frozen(session, first.under(store.label_set), load, window)
            frozen = _sum(session.task, said, expected)
        yield Day(f"{day:%Y-%m-%d}", len(window), right, frozen)


def _frozen(session: Session, first: Model, load: Callable[[str], Model], window: Window) -> list[str]:
    """What the first model says to each request."""
    said = window.rows["output"].to_numpy(dtype=object).copy()
    known = _written(first, load, window)
    rest = window.take(~known)
    said[~known] = outputs(session, first, rest.rows["text"].tolist(), rest.embeddings)
    return list(said)


def _written(first: Model, load: Callable[[str], Model], window: Window) -> Array:
    """(n,) requests whose answer is what the first model writes: it, or a version of its weights that
    was given the same prompt, served them."""
    same = np.zeros(len(window), bool)
    if not isinstance(first, WritingModel):
        return same
    texts = window.rows["text"].to_numpy(dtype=object)
    asked = np.array(first.prompt_ids(texts.tolist(), window.embeddings))
    for version, rows in window.rows.groupby("model_version").indices.items():
        served = load(str(version))
        if isinstance(served, WritingModel) and served.weights == first.weights:
            given = served.prompt_ids(texts[rows].tolist(), window.embeddings[rows])
            same[rows] = asked[rows] == np.array(given)
    return same


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
