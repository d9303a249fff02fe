"""What is older than it may be is forgotten; what waits for a label or a dataset is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from core.records.answers import Feedback
from core.records.labels import Annotation, AnnotationTask
from core.store import Store
from core.store import erasure as module
from flows import stages
from tests.logs import NOW, row, stored
from tests.small_loop import make_session

OLD = NOW + timedelta(seconds=100)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


def fill(store: Store) -> None:
    """A request a second: r1 waits for a label, r2 has one that no dataset took, r3 one that was."""
    store.answers.log([row(i) for i in range(200)] + [row(5, "shadow")])
    ids = [row(i).prediction_id for i in range(4)]
    store.queue.add([AnnotationTask(p, OLD, "r", "margin", 0.5, False) for p in ids[1:]])
    store.labels.annotate([Annotation(ids[3], "a", "ana", NOW)])
    store.labels.claim("v0002", OLD)
    store.labels.annotate([Annotation(ids[2], "a", "ana", NOW)])
    said = [Feedback(f"f{i}", row(i).prediction_id, OLD, "thumbs", "up") for i in (0, 1, 150)]
    store.feedback.add([*said, Feedback("f", "a prediction that was not kept", NOW, "thumbs", "up")])


def test_old_rows_go_and_those_that_are_wanted_stay(store: Store) -> None:
    fill(store)
    assert store.erasure.retire(OLD, "a turn") == 99  # 98 answers and a shadow
    assert stored(store) == ["r1", "r2", *(f"r{i}" for i in range(100, 200))]
    given = store.feedback.within(NOW, NOW + timedelta(days=1))
    assert [f.feedback_id for f in given] == ["f1", "f150"]
    assert [t.request_id for t in store.queue.open()] == ["r1"]
    assert store.labels.claim("v0003", NOW + timedelta(days=1))["input"].tolist() == ["text 2"]


def test_killed_half_way_it_goes_on_and_counts_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", 40)
    assert module.retire_some(store.database, OLD, "a turn") == 40
    assert store.erasure.retire(OLD, "a turn") == 99
    assert store.erasure.retire(OLD, "a turn") == 99
    assert store.erasure.retire(OLD, "the next turn") == 0


def test_an_embedding_kept_by_its_text_goes_with_the_text(store: Store) -> None:
    read: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        read.extend(texts)
        return np.ones((len(texts), 3), dtype=np.float16)

    store.answers.log([row(0), row(150)])
    store.embeddings.of(["text 0", "text 150"], "e", encode, "reread")
    store.erasure.retire(OLD, "a turn")
    store.embeddings.of(["text 0", "text 150"], "e", encode, "reread")
    assert read == ["text 0", "text 150", "text 0"]


def test_a_deleted_text_is_not_left_in_the_file(store: Store, tmp_path: Path) -> None:
    store.answers.log([row(i, text=f"a secret {i}") for i in range(50)])
    store.erasure.retire(OLD, "a turn")
    store.close()
    assert b"a secret" not in (tmp_path / "store.db").read_bytes()


def test_the_loop_forgets_once_a_turn_and_says_how_many(tmp_path: Path) -> None:
    session = make_session(tmp_path / "shop", logging={"policy": "all", "retention_days": 1})
    fill(session.store)
    now = OLD + timedelta(days=1)
    for _ in range(2):
        stages.retire(session, now)
    [decision] = session.store.decisions.read("logging")
    assert decision.reason == "99 predictions are older than 1 days"
    session.store.answers.log([row(7)])
    stages.retire(session, now)
    assert "r7" in stored(session.store)
    session.store.close()
