"""Prequential accuracy: each day scored by the model that served it, before its labels were known.

The frozen line costs no replay of its own: the first model's head scores the same stored embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.models.classifier.migrated import answering
from flows.home import Home


@dataclass(frozen=True)
class Day:
    day: str  # 2026-01-05
    requests: int
    right: int
    frozen_right: int | None  # None where another encoder than the first model's served


def score_days(home: Home, truth: Mapping[str, str], start: datetime, days: int) -> list[Day]:
    """The days from `start` on that had requests. `truth` is request id -> label."""
    return list(_days(home, truth, start, days))


def _days(home: Home, truth: Mapping[str, str], start: datetime, days: int) -> Iterator[Day]:
    first = home.registry.load("1")
    for n in range(days):
        day = start + timedelta(days=n)
        store = home.store.at(day + timedelta(days=1))
        window = store.window(day, day + timedelta(days=1))
        if not len(window):
            continue
        expected = [store.labels.last(truth.get(r, "")) for r in window.rows["request_id"]]
        right = sum(a == b for a, b in zip(window.rows["label"], expected, strict=True))
        frozen = None
        if set(window.rows["encoder"]) == {first.encoder.identity}:
            head = answering(first.trained, store.labels)
            guesses = head.probabilities(window.embeddings).argmax(axis=1)
            frozen = sum(head.labels[g] == t for g, t in zip(guesses, expected, strict=True))
        yield Day(f"{day:%Y-%m-%d}", len(window), right, frozen)


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


def _share(day: Day, right: int) -> dict[str, Any]:
    return {"day": day.day, "accuracy": right / day.requests, "requests": day.requests}
