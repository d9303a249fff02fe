"""What the tests of the prediction log share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from core.store import Store
from everloop.laws.rows import NOW, row
from pipelines.logging.all import All
from serving.metrics import Metrics
from serving.writer import LogPromise, Writer

__all__ = ["EVER", "NOW", "row", "stored", "until", "writing"]
EVER = (NOW - timedelta(days=9999), NOW + timedelta(days=9999))


@contextmanager
def writing(store: Store, folder: Path, promise: LogPromise | None = None) -> Iterator[Writer]:
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
