"""What was written is there, once, whoever asks and however often it is written."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from core.errors import LabelError, StoreError
from core.ids import uuid7
from core.records.answers import ClassificationDetail, Prediction
from core.records.decisions import Decision
from core.records.labels import Annotation, AnnotationTask
from core.records.rollouts import Rollout
from core.records.signals import Signal
from core.schema import VERSION
from core.state import Forgetting, Retrains
from core.store import Store
from core.store.migrations import SchemaVersion

NOW = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


def prediction(i: int, variant: str = "champion", label: str = "a") -> Prediction:
    when = NOW + timedelta(minutes=i)
    return Prediction(
        uuid7(when, f"r{i}", variant), f"r{i}", when, "1", variant, f"text {i}", label, 0.5,
        ClassificationDetail(np.array([0.5, 0.25, 0.25], dtype=np.float16)),
        None if variant == "shadow" else np.arange(4, dtype=np.float16),
        "e", {"plan": "free"}, "u", 1.0,
    )  # fmt: skip


def test_logging_again_is_harmless(store: Store) -> None:
    rows = [prediction(i) for i in range(5)]
    store.answers.log(rows, encoder_passes=5)
    store.answers.log(rows)
    assert store.answers.count() == 5
    assert store.state.counters()["encoder_passes.serving"] == 5


def test_window_is_half_open_ordered_and_leaves_shadows_out(store: Store) -> None:
    store.answers.log([prediction(i) for i in (3, 1, 2, 0)] + [prediction(1, "shadow")])
    window = store.answers.window(NOW, NOW + timedelta(minutes=3))
    assert window.rows["request_id"].tolist() == ["r0", "r1", "r2"]
    assert window.embeddings.tolist() == [[0, 1, 2, 3]] * 3
    assert window.rows["segment.plan"].tolist() == ["free"] * 3
    assert len(store.answers.window(NOW - DAY, NOW)) == 0


def test_a_label_reaches_the_window_the_answers_and_one_partition(store: Store) -> None:
    rows = [prediction(0), prediction(0, "shadow", "b"), prediction(1)]
    store.answers.log(rows)
    store.queue.add([AnnotationTask(rows[0].prediction_id, NOW, "r", "margin", 0.25, False)])
    task = store.queue.open()[0]
    assert (task.text, task.predicted, task.propensity) == ("text 0", "a", 0.25)
    truth = Annotation(rows[0].prediction_id, "b", "ana", NOW)
    assert store.labels.annotate([truth, truth]) == 1
    assert store.labels.annotate([truth]) == 0
    assert store.queue.open() == []
    assert store.answers.window(NOW, NOW + DAY).rows["truth"].tolist() == ["b", None]
    answers = store.answers.side_by_side(NOW, NOW + DAY)
    assert answers[answers["request_id"] == "r0"]["truth"].tolist() == ["b", "b"]
    assert store.labels.unclaimed() == (1, 0)
    first = store.labels.claim("v0002", NOW)
    assert first["target"].tolist() == ["b"]
    assert store.labels.claim("v0002", NOW + DAY).equals(first)
    assert store.labels.claim("v0003", NOW + DAY).empty
    assert store.labels.unclaimed() == (0, 0)


def test_two_labels_for_one_prediction_store_nothing(store: Store) -> None:
    store.answers.log([prediction(0), prediction(1)])
    one, two = (prediction(i).prediction_id for i in (0, 1))
    with pytest.raises(LabelError, match="two labels for one prediction"):
        store.labels.annotate(
            [
                Annotation(two, "a", "x", NOW),
                Annotation(one, "a", "x", NOW),
                Annotation(one, "b", "x", NOW),
            ]
        )
    assert store.labels.count() == 0


def test_once_runs_a_step_once_and_a_killed_step_again(store: Store) -> None:
    def killed() -> dict[str, int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.state.once("k", killed)
    assert store.state.once("k", lambda: {"n": 1}) == {"n": 1}
    assert store.state.once("k", lambda: {"n": 2}) == {"n": 1}


def test_a_text_is_read_once_for_each_encoder(store: Store) -> None:
    read: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        read.extend(texts)
        return np.ones((len(texts), 3), dtype=np.float16)

    assert store.embeddings.of(["a", "b", "a"], "e", encode, "initial").shape == (3, 3)
    store.embeddings.of(["b", "c"], "e", encode, "testing")
    assert read == ["a", "b", "c"]
    assert store.state.counters() == {
        "encoder_passes.initial": 2, "texts.initial": 2,
        "encoder_passes.testing": 1, "texts.testing": 1,
    }  # fmt: skip
    store.embeddings.of(["a"], "another encoder", encode, "initial")
    assert read == ["a", "b", "c", "a"]


def test_records_come_back_as_they_went_in(store: Store) -> None:
    decision = Decision("k", "triggers", NOW, "wait", "no", {"n": 1.5}, "warning")
    signal = Signal("confidence", NOW, NOW + DAY, 0.5, "share", note="x")
    rollout = Rollout("r", "2", "1", "shadow", 0.0, NOW, NOW)
    store.decisions.put([decision, decision])
    store.signals.put([signal, signal])
    store.decisions.put_rollout(rollout)
    assert store.decisions.read() == store.decisions.read("triggers", NOW) == [decision]
    assert store.signals.read() == [signal]
    assert store.decisions.live_rollout() == rollout
    store.decisions.put_rollout(Rollout("r", "2", "1", "promoted", 1.0, NOW, NOW))
    assert store.decisions.live_rollout() is None
    store.state.write(Forgetting("v0004", NOW, 3))
    assert store.state.read(Forgetting) == Forgetting("v0004", NOW, 3)
    assert store.state.read(Retrains) == Retrains()


def test_a_locked_store_says_so_and_loses_nothing(store: Store, tmp_path: Path) -> None:
    store.answers.log([prediction(0)])
    impatient = Store(store.url, busy=0)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as fault:
        impatient.answers.log([prediction(1)])
    assert str(fault.value) == (
        "the store is locked by another process\n"
        f"  where:    {store.url}\n"
        "  got:      database is locked\n"
        "  expected: a free store within 0 s\n"
        "  do:       stop the other process or wait for it, then run this again; nothing was lost"
    )
    other.close()
    impatient.answers.log([prediction(1)])
    assert impatient.answers.count() == 2


@pytest.mark.parametrize("schema", [3, 99])
def test_a_store_of_another_version_is_refused(store: Store, schema: int) -> None:
    store.state.write(SchemaVersion(schema))
    with pytest.raises(StoreError) as fault:
        Store(store.url)
    assert str(fault.value) == (
        "the store was made by another version of Everloop\n"
        f"  where:    {store.database.where()}\n"
        f"  got:      schema {schema}\n"
        f"  expected: schema 4 to {VERSION}\n"
        "  do:       open it with the Everloop that made it"
    )
