"""What a window is held against, policy by policy: drift, none, too little, too old, a clock gone back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from core.arrays import Array
from core.records.rollouts import Rollout
from core.records.signals import Signal
from core.store import Store
from flows.reference import reference
from flows.session import Session
from monitoring import Monitoring
from monitoring.signals import drift
from monitoring.view import ServedModel, View
from tests.logs import NOW, row

DAY, ROWS, DAYS = timedelta(days=1), 60, 30
START = NOW + DAYS * DAY  # of the window that is judged
CENTRES = 2.0 * np.random.default_rng(1).normal(size=(4, 8))
MODEL = ServedModel("2", ["a", "b"], frozenset(["a", "b"]), "e")
every = pytest.mark.parametrize("policy", ["sliding", "same-weekday", "since-promotion", "training"])


def embeddings(rows: int, seed: int, new: float = 0.0) -> Array:
    """Three topics, and a share `new` of a fourth."""
    rng = np.random.default_rng([seed, rows])
    topics = np.where(rng.random(rows) < new, 3, rng.integers(0, 3, rows))
    return (CENTRES[topics] + rng.normal(size=(rows, 8))).astype(np.float16)


def day(number: int, rows: int = ROWS, new: float = 0.0) -> list[Any]:
    start = int(DAY.total_seconds()) * number
    vectors = embeddings(rows, number, new)
    step = int(DAY.total_seconds()) // max(1, rows)
    return [
        row(start + k * step, embedding=v, model_version="2", output="ab"[k % 2])
        for k, v in enumerate(vectors)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    made.answers.log([p for number in range(DAYS) for p in day(number)])
    promoted = NOW + 10 * DAY
    made.decisions.put_rollout(Rollout("r", "2", "1", "promoted", 1.0, promoted - DAY, promoted))
    yield made
    made.close()


def seen(store: Store, policy: str, start: datetime = START, end: datetime = START + DAY) -> Signal:
    """`drift.embeddings` of a window, as the monitoring stage would have it."""
    settings = Monitoring(reference=policy)  # type: ignore[arg-type]
    session = cast(Session, SimpleNamespace(store=store, strategy=SimpleNamespace(monitoring=settings)))
    if policy == "training":
        rows, name = (
            store.answers.window(NOW - DAY, NOW + 3 * DAY),
            "training, v0001",
        )  # rows of long ago
    else:
        rows, name = reference(session, MODEL, start, end)
    view = View(store.answers.window(start, end), rows, MODEL, settings, reference_name=name)
    return next(drift.measure(view))


def alarms(found: Signal) -> bool:
    assert found.value is not None, found.note
    assert found.baseline is not None
    return found.value > found.baseline


@every
def test_a_new_topic_is_drift_and_none_is_not(store: Store, policy: str) -> None:
    store.answers.log(day(DAYS))
    assert not alarms(seen(store, policy))
    store.answers.log(day(DAYS + 1, new=0.5))
    found = seen(store, policy, START + DAY, START + 2 * DAY)
    assert alarms(found)
    assert found.reference.startswith(policy)


@every
@pytest.mark.parametrize("rows", [0, 1, 49])
def test_a_window_of_few_rows_is_not_enough(store: Store, policy: str, rows: int) -> None:
    store.answers.log(day(DAYS, rows))
    found = seen(store, policy)
    assert (found.value, found.note) == (None, f"not enough rows: {rows}, 50 needed")


@every
def test_a_reference_older_than_the_retention_is_not_enough(store: Store, policy: str) -> None:
    store.answers.log(day(DAYS))
    store.erasure.retire(START, "turn")
    found = seen(store, policy)
    assert (found.value, found.note) == (None, "not enough reference: 0 rows, 100 needed")


@every
def test_a_clock_that_goes_back_is_a_note(store: Store, policy: str) -> None:
    store.answers.log(day(DAYS))
    found = seen(store, policy, START + DAY, START)  # a window that ends before it starts
    assert (found.value, found.note) == (None, "not enough rows: 0, 50 needed")
    early = seen(store, policy, NOW, NOW + DAY)  # before there was any traffic to hold it against
    if policy != "training":
        assert early.value is None
        assert early.note.startswith("not enough reference: 0 rows")


def test_what_each_policy_holds_a_window_against(store: Store) -> None:
    names = {p: seen(store, p).reference for p in ("sliding", "same-weekday", "since-promotion")}
    assert names == {
        "sliding": "sliding, 7 days",
        "same-weekday": "same-weekday, 4 weeks",
        "since-promotion": "since-promotion, 2026-01-15 00:00",
    }
