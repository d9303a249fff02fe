"""Every door takes a label in its normal form, and what an older version stored is read in it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from core.label_set import LabelSet, Operation
from core.models.classifier.head import Head
from core.models.classifier.migrated import answering
from core.records.answers import Feedback
from core.records.labels import Annotation
from core.store import Store
from core.tables import Columns, read_rows
from serving.labelling.annotation_queue import AnnotationQueue, Labelling
from serving.labelling.messages import VoteBody
from tests.fake_models import NOW
from tests.serving.labelling.label_queue import ask, pick, texts_of
from tests.serving.labelling.test_api import client_of

LABELLED = Columns(label="label")
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "column",
    [
        [4, 3, None],
        [4.0, 3.5, None],
        [True, False, None],
        ["True", "FALSE", None],
        ["007", " 4.0", None],
        pd.Series([4, 3, None], dtype="Int64"),
        pd.Series(["b\u00a0 c", "e\u0301", None], dtype="category"),
        pd.Series([4.1, 0.1, None], dtype="float32"),
        pd.to_datetime(pd.Series(["2026-01-05", "2026-01-06", None])),
    ],
    ids=str,
)
def test_a_label_is_the_same_in_every_file_type(tmp_path: Path, column: list[object]) -> None:
    frame = pd.DataFrame({"text": ["one", "two", "three"], "label": column})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True, date_format="iso")
    found = [read_rows(tmp_path / f"a.{suffix}", LABELLED) for suffix in ("csv", "parquet", "jsonl")]
    names = [list(rows.frame["label"]) for rows in found]
    assert names[0] == names[1]
    if str(getattr(column, "dtype", "")) not in ("float32", "datetime64[us]", "datetime64[ns]"):
        assert names[2] == names[0]  # of those pandas writes other values into JSON
    assert [[r.reason for r in rows.refused] for rows in found] == [["no label"]] * 3


def test_a_list_is_no_label(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "x", "label": ["a"]}\n{"text": "y", "label": "a"}\n')
    [refused] = read_rows(file, LABELLED).refused
    assert refused.reason == "the label is of type list, expected one name"


@pytest.mark.parametrize("value", ["pay_card ", "pay_card\n", "\u200bpay_card", "pay_card\u00a0"])
def test_a_correction_to_the_same_label_is_no_complaint(store: Store, value: str) -> None:
    [row] = ask(store, texts_of(1), ["pay_card", "pay_card_"])
    client = client_of(store)
    body = {"prediction_id": row.prediction_id, "kind": "correction", "value": value}
    given = body | {"value": value.replace("pay_card", row.output)}
    assert client.post("/v1/feedback", json=given).status_code == 200
    assert store.feedback.complained(row.timestamp - DAY, NOW + DAY) == set()
    other = body | {"value": "another one"}
    assert client.post("/v1/feedback", json=other).status_code == 200
    assert store.feedback.complained(row.timestamp - DAY, NOW + DAY) == {row.prediction_id}


@pytest.mark.parametrize("value", [" ", "\u200b", "\u00a0\n"])
def test_what_cannot_be_seen_is_no_label(store: Store, value: str) -> None:
    [row] = ask(store, texts_of(1))
    pick(store, [row])
    client = client_of(store)
    said = {"prediction_id": row.prediction_id, "kind": "label", "value": value}
    vote = {"prediction_id": row.prediction_id, "annotator": "ann", "label": value, "new": True}
    for path, body in (("/v1/feedback", said), ("/v1/label/votes", vote)):
        answer = client.post(path, json=body)
        assert answer.status_code == 422
        assert "a label that can be seen" in json.dumps(answer.json())


@pytest.fixture
def old(store: Store, tmp_path: Path) -> Store:
    """A store as an older version left it: its model's labels are in no normal form."""
    rows = ask(store, texts_of(6), ["bank  balance", "e\u0301"])
    with store.database.write() as db:
        db.exec_driver_sql("UPDATE predictions SET output = 'bank  balance'")
    pick(store, rows)
    store.labels.annotate([Annotation(rows[0].prediction_id, "bank  balance", "ann", NOW)])
    said = Feedback("f0", rows[1].prediction_id, NOW, "correction", "bank balance ", "")
    store.feedback.add([said])
    with store.database.write() as db:
        db.exec_driver_sql("DELETE FROM state WHERE key = 'labels/odd'")
    return Store(store.url)


def test_a_store_of_an_older_version_is_read_in_the_normal_form(old: Store) -> None:
    assert old.odd == {"bank  balance", "bank balance "}
    assert old.labels.names() == old.labels.in_use() == ["bank balance"]
    window = old.answers.window(NOW - 99 * DAY, NOW + DAY)
    assert set(window.rows["output"]) == {"bank balance"}
    assert old.feedback.complained(NOW - 99 * DAY, NOW + DAY) == set()
    ids = list(window.rows["prediction_id"])
    assert old.labels.annotate([Annotation(ids[0], "bank balance", "bob", NOW)]) == 0  # the same label
    assert Store(old.url).odd == old.odd
    old.close()


@pytest.mark.parametrize("label", ["bank  balance", "bank balance", "bank\nbalance"])
def test_the_page_takes_the_label_it_offers(old: Store, label: str) -> None:
    queue = AnnotationQueue(old, Labelling())
    [task] = queue.next("ann", 1, NOW)
    assert task.guess is not None
    assert task.guess.label == "bank balance"
    assert queue.setup("", NOW).labels == ["bank balance"]
    body = VoteBody(prediction_id=task.prediction_id, annotator="ann", label=label)
    assert queue.vote(body, "ann", NOW) == "done"
    assert set(old.labels.of([task.prediction_id]).values()) == {"bank balance"}
    old.close()


def test_a_model_that_learnt_two_spellings_answers_with_one() -> None:
    head = Head(["e\u0301", "fee", "\u00e9"], np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    asked = answering(head, LabelSet())
    assert asked.labels == ["fee", "\u00e9"]
    plain, both = head.probabilities(np.eye(3)), asked.probabilities(np.eye(3))
    assert both[:, 1] == pytest.approx(plain[:, 0] + plain[:, 2])


def test_a_merge_of_two_spellings_ends_no_label() -> None:
    labels = LabelSet((Operation("merge", ("bank  balance",), ("bank balance",)),))
    assert labels.now("bank  balance") == labels.now("bank balance") == "bank balance"
    back = LabelSet((Operation("merge", ("b c",), ("d",)), Operation("merge", ("d",), ("b  c",))))
    assert back.last("b c") in ("b c", "b  c")  # it ends


def test_the_page_and_feedback_know_a_label_by_any_spelling(store: Store) -> None:
    rows = ask(store, texts_of(2))
    pick(store, rows)
    client: TestClient = client_of(store)
    vote = {"prediction_id": rows[0].prediction_id, "annotator": "ann", "label": "\ufeffpay_card "}
    assert client.post("/v1/label/votes", json=vote).json()["state"] == "done"
    assert store.labels.of([rows[0].prediction_id]) == {rows[0].prediction_id: "pay_card"}
