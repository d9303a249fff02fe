"""What the tests of the prediction log share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from core.records import Prediction, uuid7
from core.store import Store
from pipelines.logging.all import All
from serving.metrics import Metrics
from serving.writer import Promise, Writer

NOW = datetime(2026, 1, 5, tzinfo=UTC)
EVER = (NOW - timedelta(days=9999), NOW + timedelta(days=9999))


def row(i: int, variant: str = "champion", **other: Any) -> Prediction:
    when = NOW + timedelta(seconds=i)
    values: dict[str, Any] = {
        "prediction_id": uuid7(when, f"r{i}", variant), "request_id": f"r{i}", "timestamp": when,
        "model_version": "1", "variant": variant, "text": f"text {i}", "label": "a", "score": 0.75,
        "probabilities": np.array([0.75, 0.25], dtype=np.float16),
        "embedding": None if variant == "shadow" else np.arange(4, dtype=np.float16),
        "encoder": "e", "segments": {"plan": "free"}, "user_key": "u", "latency_ms": 1.0,
    }  # fmt: skip
    return Prediction(**(values | other))


@contextmanager
def writing(store: Store, folder: Path, promise: Promise | None = None) -> Iterator[Writer]:
    writer = Writer(store, All(policy="all").keep, folder, Metrics(), promise)
    try:
        yield writer
    finally:
        writer.close()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what another thread or process does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def stored(store: Store) -> list[str]:
    return store.answers.window(*EVER).rows["request_id"].tolist()
