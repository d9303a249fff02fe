"""Tasks go out, labels come back; what cannot be accepted is named, what is stored stays."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from core.errors import DataError
from core.records.answers import ClassificationDetail, Prediction
from core.records.labels import Annotation, AnnotationTask
from core.store import Store
from core.tables import Refused
from pipelines.labeling import Labeling
from pipelines.labeling.files import written_as
from pipelines.labeling.judgements import Imported, take
from pipelines.labeling.oracle import Oracle
from pipelines.labeling.tables import read, write

NOW = datetime(2026, 1, 8, tzinfo=UTC)
OPEN = Labeling()
CLOSED = Labeling(labels=["track_order", "cancel_order"])
TEXTS = ["where is it", '=1+2, "quoted"\nand more', "Zoë ☕"]


def prediction(i: int) -> Prediction:
    return Prediction(
        prediction_id=f"p{i}",
        request_id=f"r{i}",
        timestamp=NOW - timedelta(days=1),
        model_version="1",
        variant="champion",
        text=TEXTS[i],
        output="track_order",
        confidence=0.5,
        detail=ClassificationDetail(np.ones(2, dtype=np.float16)),
        embedding=np.ones(4, dtype=np.float16),
        encoder="tiny",
        segments={},
        user_key="",
        latency_ms=1.0,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Three predictions, each a task."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    store.answers.log([prediction(i) for i in range(3)])
    picked = NOW - timedelta(hours=1)
    store.queue.add(
        [AnnotationTask(f"p{i}", picked, "2026-01-07", "margin", 0.5, False) for i in range(3)]
    )
    yield store
    store.close()


def import_annotations(
    path: Path, store: Store, settings: Labeling, now: datetime, annotator: str
) -> Imported:
    return take(read(path, annotator), store, settings, now)


def labelled(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["prediction_id,label", *rows, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["tasks.csv", "tasks.jsonl"])
def test_what_is_exported_and_filled_in_is_imported(store: Store, tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / name
    write(store.queue.open(), path, lines=name == "tasks.jsonl")
    if name == "tasks.csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [r["text"] for r in rows] == TEXTS
    assert rows[0] == {
        "prediction_id": "p0",
        "text": "where is it",
        "predicted": "track_order",
        "round": "2026-01-07",
        "label": "",
    }
    filled = [
        r | {"label": label} for r, label in zip(rows, ["track_order", "", " new one "], strict=True)
    ]
    back = tmp_path / "back.jsonl"
    back.write_text("\n".join(json.dumps(r) for r in filled), encoding="utf-8")
    assert import_annotations(back, store, OPEN, NOW, "ann") == Imported(2, 0, 1, [])
    assert store.labels.of(["p0", "p1", "p2"]) == {"p0": "track_order", "p2": "new one"}
    assert [t.prediction_id for t in store.queue.open()] == ["p1"]


def test_exporting_twice_writes_the_same_bytes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv"
    write(store.queue.open(), path, lines=False)
    first = path.read_bytes()
    write(store.queue.open(), path, lines=False)
    assert path.read_bytes() == first


def test_exporting_to_an_unknown_kind_of_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tasks cannot be written so\n.*\n.*got:.*\.xlsx"):
        written_as(tmp_path / "tasks.xlsx", None)


def test_importing_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = labelled(tmp_path, "p0,track_order", "p1,cancel_order", "p1,cancel_order", "p2,")
    assert import_annotations(path, store, CLOSED, NOW, "ann") == Imported(2, 1, 1, [])
    later = NOW + timedelta(days=1)
    assert import_annotations(path, store, CLOSED, later, "bob") == Imported(0, 3, 1, [])
    assert store.labels.count() == 2


def test_what_cannot_be_accepted_is_named_and_the_rest_is_stored(store: Store, tmp_path: Path) -> None:
    path = labelled(
        tmp_path,
        "p0,track_order",
        "p9,track_order",
        "p1,cancel_ordr",
        ",track_order",
        "p0,cancel_order",
        "p2",
    )
    found = import_annotations(path, store, CLOSED, NOW, "ann")
    assert found.refused == [
        Refused(3, "no task for this prediction id", "p9"),
        Refused(4, "a label that was never declared; did you mean 'cancel_order'?", "cancel_ordr"),
        Refused(5, "no prediction id", "track_order"),
        Refused(6, "this prediction is already labelled 'track_order'", "cancel_order"),
        Refused(7, "only 1 of 2 fields (a half-written line?)", "p2"),
    ]
    assert (found.accepted, found.already, found.unlabelled) == (1, 0, 0)
    assert store.labels.of(["p0", "p1", "p2"]) == {"p0": "track_order"}


def test_a_stored_label_stands(store: Store, tmp_path: Path) -> None:
    store.labels.annotate([Annotation("p0", "track_order", "ann", NOW)])
    path = labelled(tmp_path, "p0,cancel_order", "p1,cancel_order")
    found = import_annotations(path, store, OPEN, NOW, "bob")
    assert found.accepted == 1
    assert [r.reason for r in found.refused] == ["this prediction is already labelled 'track_order'"]
    assert store.labels.of(["p0", "p1"]) == {"p0": "track_order", "p1": "cancel_order"}


def test_bytes_that_are_not_utf8_cost_one_row(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"prediction_id,label\np0,caf\xe9\np1,cancel_order\n")
    found = import_annotations(path, store, OPEN, NOW, "ann")
    assert found.refused == [Refused(2, "bytes that are not UTF-8", "caf\\xe9")]
    assert store.labels.of(["p0", "p1"]) == {"p1": "cancel_order"}


def test_a_file_without_the_columns_is_one_error(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label\np0,x\n")
    with pytest.raises(DataError, match=r"missing column: prediction_id\n.*\n.*columns id, label"):
        import_annotations(path, store, OPEN, NOW, "ann")


HINTS = {
    "prediction_id;text;label\np0;x;a\n": "separated by something other than a comma.*\n.*save it with commas",
    "prediction_id\ttext\tlabel\np0\tx\ta\n": "separated by something other than a comma.*\n.*save it with",
    "sep=,\nprediction_id,label\np0,a\n": "the first line is for spreadsheets only\n.*\n.*sep=,",
    "sep=;\nprediction_id;label\np0;a\n": "the first line is for spreadsheets only\n.*\n.*sep=;",
    "Prediction_ID,Label\np0,a\n": "rename 'Prediction_ID' to prediction_id, 'Label' to label",
    "PREDICTION_ID,text,LABEL\np0,x,a\n": "rename 'PREDICTION_ID' to prediction_id, 'LABEL' to label",
}


@pytest.mark.parametrize(("content", "match"), HINTS.items())
def test_a_file_that_a_spreadsheet_changed_is_told_how_to_mend_it(
    store: Store, tmp_path: Path, content: str, match: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8-sig")
    with pytest.raises(DataError, match=match):
        import_annotations(path, store, OPEN, NOW, "ann")


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a", " a"], [""], [" "]])
def test_a_closed_set_is_different_labels(labels: list[str]) -> None:
    with pytest.raises(ValidationError, match="a list of different labels"):
        Labeling(labels=labels)


def test_the_oracle_answers_after_its_delay(store: Store) -> None:
    oracle = Oracle({"r0": "track_order", "r1": "cancel_order"}, timedelta(hours=2))
    tasks = store.queue.open()
    ready = NOW + timedelta(hours=1)
    assert oracle.answer(tasks, ready - timedelta(seconds=1)) == []
    assert oracle.answer(tasks, ready) == [
        Annotation("p0", "track_order", "oracle", ready),
        Annotation("p1", "cancel_order", "oracle", ready),
    ]


def test_an_oracle_that_was_killed_goes_on(store: Store) -> None:
    truth = {f"r{i}": "track_order" for i in range(3)}
    store.labels.annotate(Oracle(truth).answer(store.queue.open(), NOW)[:1])
    store.labels.annotate(Oracle(truth).answer(store.queue.open(), NOW))
    assert Oracle(truth).answer(store.queue.open(), NOW) == []
    assert store.labels.count() == 3


def test_a_label_that_is_the_number_zero_is_filled_in(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"prediction_id": "p0", "label": 0}\n{"prediction_id": "p1", "label": false}\n'
        '{"prediction_id": "p2", "label": null}\n'
    )
    done = import_annotations(path, store, OPEN, NOW, "ana")
    assert (done.accepted, done.unlabelled, done.refused) == (2, 1, [])
    assert store.labels.of(["p0", "p1", "p2"]) == {"p0": "0", "p1": "false"}
