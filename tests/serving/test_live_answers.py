"""A label set that changes while a server runs: what it answers, offers, takes and refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from core.errors import LabelError
from core.label_set import FILE, LabelSet, Operation, names_of
from core.records.labels import Annotation
from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.labelling.annotation_queue import Labelling
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.watcher import Watcher
from tests.fake_models import NOW, HashEncoder, LinearHead, Shelf, model, requests, roll_out
from tests.logs import until
from tests.serving.labelling.label_queue import ask, pick, texts_of

DAY = timedelta(days=1)
OLD = ["bill", "card", "fax", "lost", "stolen"]
MERGE = Operation("merge", ("lost", "stolen"), ("gone",), (NOW + DAY).isoformat())
SPLIT = Operation("split", ("card",), ("fee", "limit"), (NOW + DAY).isoformat())
RETIRE = Operation("retire", ("fax",), (), (NOW + DAY).isoformat(), why="no fax any more")
CHANGED = LabelSet((MERGE, SPLIT, RETIRE))
LATER = NOW + 2 * DAY


@pytest.fixture
def old(store: Store) -> Store:
    """A store of a workspace whose labels change a day from now."""
    store.label_set_at = CHANGED.as_of
    return store


def shelf() -> Shelf:
    found = Shelf()
    found.models["1"] = model(HashEncoder(), LinearHead(OLD, seed=1))
    found.models["2"] = model(HashEncoder(), LinearHead([*OLD, "gone"], seed=2))
    return found


def service_of(store: Store) -> Service:
    return Service(store, shelf().load, max_text=10_000)


def client_of(
    store: Store, clock: Callable[[], datetime], settings: Labelling | None = None
) -> TestClient:
    service = service_of(store)
    service.switch.turn(clock())
    engine = Engine(service, clock, Metrics())
    app = create_app(engine, store, clock, Serving(), settings or Labelling())
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def test_an_old_champion_answers_in_the_labels_of_the_time(old: Store) -> None:
    """From the very request on: merged labels are as likely as their parts, retired ones not answered."""
    service, before, after = service_of(old), requests(40), requests(40, start=100)
    first = service.predict(before)
    assert {p.output for p in first} <= {*OLD}
    later = [replace(r, timestamp=r.timestamp + 2 * DAY) for r in after]
    answers = service.predict(later)
    assert {p.output for p in answers} <= {"bill", "card", "gone"}
    assert {p.model_version for p in answers} == {"1"}
    shares = LinearHead(OLD, seed=1).probabilities(HashEncoder().encode([r.text for r in later]))
    kept = shares[:, [0, 1, 3]]
    kept[:, 2] += shares[:, 4]
    kept /= kept.sum(axis=1, keepdims=True)
    assert [p.confidence for p in answers] == pytest.approx(kept.max(axis=1).tolist())
    names = ["bill", "card", "gone"]
    assert [p.output for p in answers] == [names[i] for i in kept.argmax(axis=1)]
    assert all(len(p.detail.probabilities) == 3 for p in answers)


def test_a_request_that_was_answered_keeps_its_answer(old: Store) -> None:
    service, asked = service_of(old), requests(20)
    first = service.predict(asked)
    service.switch.turn(LATER)
    assert [p.output for p in service.predict(asked)] == [p.output for p in first]


def test_both_models_of_a_rollout_answer_in_the_same_labels(old: Store) -> None:
    service = service_of(old)
    roll_out(old, "shadow")
    service.switch.turn(LATER)
    asked = [replace(r, timestamp=LATER) for r in requests(40)]
    service.predict(asked)
    assert set(old.answers.side_by_side(LATER, LATER + DAY)["output"]) <= {"bill", "card", "gone"}


def test_a_change_of_labels_loads_no_model_again(old: Store) -> None:
    found = shelf()
    service = Service(old, found.load, max_text=100)
    now = service.switch.turn(NOW)
    assert service.switch.turn(NOW + timedelta(hours=1)) is not None
    assert service.switch.turn(NOW).champion is now.champion
    later = service.switch.turn(LATER)
    assert later.champion.model.labels == ["bill", "card", "gone"]
    assert service.switch.turn(LATER).champion is later.champion
    assert found.loads == ["1"]


def test_a_broken_file_changes_nothing_for_who_serves(store: Store, tmp_path: Path) -> None:
    store.label_set_at = names_of(tmp_path)
    LabelSet((Operation("retire", ("fax",)),)).save(tmp_path)
    service, metrics = service_of(store), Metrics()
    service.switch.turn(NOW)
    watcher = Watcher(store, service.switch, lambda: NOW, None, metrics, poll_seconds=0.01)
    try:
        until(lambda: not watcher.fault)
        (tmp_path / FILE).write_text("half a fi")
        until(lambda: bool(watcher.fault))
        assert watcher.fault.startswith("this is no label set")
        assert service.switch.now is not None
        assert "fax" not in service.switch.now.champion.model.labels
        LabelSet((MERGE,)).save(tmp_path)
        until(lambda: not watcher.fault)
        assert "fax" in service.switch.now.champion.model.labels
    finally:
        watcher.close()
    (tmp_path / FILE).write_text('{"operations": [{"op": "add", "labels": ["x"], "at": "noon"}]}')
    with pytest.raises(LabelError, match="no label set"):
        store.at(NOW)


def test_the_page_offers_the_labels_of_the_time(old: Store) -> None:
    rows = ask(old, texts_of(3), OLD)
    pick(old, rows)
    old.labels.annotate([Annotation(rows[0].prediction_id, "stolen", "ana", NOW)])
    clock = [NOW]
    client = client_of(old, lambda: clock[0])
    setup = client.get("/v1/label/setup").json()
    assert (setup["labels"], setup["label_set"]) == (OLD, 0)
    clock[0] = LATER
    setup = client.get("/v1/label/setup").json()
    assert (setup["labels"], setup["label_set"]) == (["bill", "fee", "gone", "limit"], 3)
    given = client.get("/v1/label/next", params={"annotator": "ann", "n": 5}).json()
    assert given["label_set"] == 3
    choices = {c["label"] for t in given["tasks"] for c in t["choices"]}
    assert choices <= {"bill", "gone"}
    near = client.get(f"/v1/label/similar/{rows[1].prediction_id}").json()["similar"]
    assert [x["label"] for x in near] == ["gone"]


@pytest.mark.parametrize("closed", [None, ("bill", "card", "fax", "lost", "stolen")])
def test_a_stale_page_gives_old_names(old: Store, closed: tuple[str, ...] | None) -> None:
    ids = pick(old, ask(old, texts_of(3), OLD))
    client = client_of(old, lambda: LATER, Labelling(closed))

    def vote(i: int, label: str, **more: Any) -> Any:
        body = {"prediction_id": ids[i], "annotator": "ann", "label": label, **more}
        return client.post("/v1/label/votes", json=body)

    assert vote(0, "lost").json()["state"] == "done"
    assert old.labels.of(ids) == {ids[0]: "gone"}
    assert vote(0, "stolen").status_code == 200  # the same by now
    for new in (False, True):
        refused = vote(1, "card", new=new)
        assert refused.status_code == 422
        assert refused.json()["error"] == "'card' was split: say which of fee, limit"
        assert refused.json()["expected"] == "one of fee, limit"
    refused = vote(1, "fax", new=True)
    assert refused.json()["error"] == "'fax' was retired: no fax any more"
    assert refused.json()["expected"] == "one of bill, fee, gone, limit"
    assert vote(1, "limit").json()["state"] == "done"
    assert old.labels.of(ids) == {ids[0]: "gone", ids[1]: "limit"}


def test_feedback_under_any_name_is_taken_as_it_was_said(old: Store) -> None:
    rows = ask(old, texts_of(2), OLD)
    client = client_of(old, lambda: LATER)
    for row, value in zip(rows, ("stolen", "never heard of"), strict=True):
        body = {"prediction_id": row.prediction_id, "kind": "correction", "value": value}
        assert client.post("/v1/feedback", json=body).status_code == 200
    said = sorted(f.value for f in old.feedback.within(NOW, LATER + DAY))
    assert said == ["never heard of", "stolen"]
    assert sorted(f.value for f in old.at(LATER).feedback.within(NOW, LATER + DAY)) == [
        "gone",
        "never heard of",
    ]


def test_every_label_of_the_model_was_retired(store: Store) -> None:
    """It answers as it did: an answer is owed, and a retrain is near."""
    store.label_set_at = LabelSet((Operation("add", ("new",)), Operation("retire", tuple(OLD)))).as_of
    answers = service_of(store).predict(requests(5))
    assert {p.output for p in answers} <= {*OLD}
    assert np.isfinite([p.confidence for p in answers]).all()
