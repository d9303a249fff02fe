"""A window is read as columns; a reference of ever more rows is read as an even, stable part of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from core.records.answers import ClassificationDetail
from core.records.labels import Annotation
from core.store import Store
from tests.logs import NOW, row

NAN = pytest.approx(np.nan, nan_ok=True)
END = NOW + timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


def test_the_columns_of_a_window(store: Store) -> None:
    store.answers.log(
        [row(0), row(1, segments={"plan": "pro", "app": "ios"}, latency_ms=2.5, propensity=0.5)]
    )
    store.labels.annotate([Annotation(row(1).prediction_id, "b", "ana", END)])
    window = store.answers.window(NOW, END)
    assert window.rows.drop(columns="timestamp").to_dict("records") == [
        {
            "prediction_id": row(i).prediction_id, "request_id": f"r{i}", "model_version": "1",
            "variant": "champion", "text": f"text {i}", "output": "a", "confidence": 0.75, "encoder": "e",
            "user_key": "u", "latency_ms": latency, "truth": truth, "score": score, "audit": False, "kept": kept,
            "propensity": NAN, "segment.app": app, "segment.plan": plan,
        }
        for i, latency, truth, score, kept, app, plan in (
            (0, 1.0, None, NAN, 1.0, "", "free"), (1, 2.5, "b", 0.0, 0.5, "ios", "pro")
        )
    ]  # fmt: skip
    assert window.rows["timestamp"].tolist() == [NOW, NOW + timedelta(seconds=1)]
    assert window.embeddings.tolist() == [[0, 1, 2, 3]] * 2
    assert window.embeddings.dtype == np.float32
    assert isinstance(window.probabilities, np.ndarray)
    assert window.probabilities.tolist() == [[0.75, 0.25]] * 2


def test_an_empty_window_has_the_columns_too(store: Store) -> None:
    store.answers.log([row(0)])
    empty, full = store.answers.window(END, END + timedelta(days=1)), store.answers.window(NOW, END)
    assert [*empty.rows.columns, "segment.plan"] == list(full.rows.columns)
    assert empty.embeddings.shape == (0, 0)
    assert len(empty.probabilities) == 0
    assert len(empty.take(np.zeros(0, dtype=bool))) == 0


def test_models_of_more_labels_make_rows_of_other_lengths(store: Store) -> None:
    more = np.array([0.5, 0.25, 0.25], dtype=np.float16)
    store.answers.log(
        [
            row(0),
            row(1, detail=ClassificationDetail(more), embedding=np.ones(6, dtype=np.float16)),
            row(2),
        ]
    )
    window = store.answers.window(NOW, END)
    assert [p.tolist() for p in window.probabilities] == [[0.75, 0.25], [0.5, 0.25, 0.25], [0.75, 0.25]]
    assert [p.tolist() for p in window.take(np.array([2, 1])).probabilities] == [
        [0.75, 0.25],
        more.tolist(),
    ]
    assert np.isnan(window.embeddings[1]).all()
    assert not np.isnan(window.embeddings[[0, 2]]).any()


def test_at_most_so_many_rows_are_read_and_always_the_same_ones(store: Store) -> None:
    store.answers.log([row(i) for i in range(4000)])
    whole, some, few = (store.answers.window(NOW, END, most=m) for m in (4000, 1000, 500))
    assert (len(whole), whole.share, some.share) == (4000, 1.0, 0.25)
    assert abs(len(some) - 1000) < 100
    assert set(few.rows["request_id"]) < set(some.rows["request_id"])
    assert (
        some.rows["request_id"].tolist()
        == store.answers.window(NOW, END, most=1000).rows["request_id"].tolist()
    )
    assert some.rows["timestamp"].is_monotonic_increasing
    middle = some.rows["timestamp"].mean() - NOW
    assert abs(middle / timedelta(seconds=2000) - 1) < 0.05  # drawn evenly over the time


def test_the_rows_with_a_truth(store: Store) -> None:
    store.answers.log([row(i) for i in range(10)])
    store.labels.annotate([Annotation(row(i).prediction_id, "b", "ana", END) for i in (3, 7)])
    found = store.answers.labelled(NOW, NOW + timedelta(seconds=7))
    assert (found.rows["request_id"].tolist(), found.rows["truth"].tolist()) == (["r3"], ["b"])
