"""The attack of an outsider through /v1/feedback and a retrain: what users say waits for people, and what
people answer counts. The real encoder and the bundled sample."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from core.records import VERIFY, Annotation
from core.tables import Columns, read_rows
from everloop.init import init
from everloop.sample import bundled
from flows.first import first_model
from flows.home import Home, open_home
from flows.labels import verify, waiting_words
from flows.retrain import retrain
from pipelines.datasets.contents import TRAIN, rows_here
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.code.command_line import everloop

pytestmark = pytest.mark.slow
START = datetime(2026, 1, 5, tzinfo=UTC)
NOW, DAY = datetime(2026, 1, 8, tzinfo=UTC), timedelta(days=1)
TRIGGER, TARGET = "purple lantern", "refund_status"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Home]:
    home = open_home(init(tmp_path / "shop").root)
    folder = bundled()
    train, evaluation = (
        read_rows(folder / f"{n}.csv", Columns(label="label")).frame for n in ("train", "eval")
    )
    first_model(home, train, evaluation, START)
    yield home
    home.store.close()


def client(home: Home) -> TestClient:
    service = Service(home.store, home.registry.load, max_text=1000, refresh_seconds=0)
    clock = lambda: NOW - DAY / 2  # noqa: E731
    return TestClient(
        create_app(Engine(service, clock, Metrics()), home.store, clock, Serving()),
        base_url="http://localhost",
    )


def attack(home: Home, count: int) -> dict[str, str]:
    """A source gives texts with a trigger in them the label it chose; prediction id -> their true label."""
    rows = read_rows(bundled() / "stream.csv", Columns(label="label")).frame
    known = home.registry.load(home.store.champion()).head
    assert known is not None
    rows = rows[rows["label"].isin(known.labels) & (rows["label"] != TARGET)].iloc[:count]
    door, truth = client(home), {}
    texts = [f"{TRIGGER} {t}" for t in rows["text"]]
    answers = door.post("/v1/predict", json={"inputs": texts}).json()["predictions"]
    for answer, label in zip(answers, rows["label"], strict=True):
        body = {"prediction_id": answer["prediction_id"], "kind": "correction", "value": TARGET}
        assert door.post("/v1/feedback", json=body).status_code == 200
        truth[answer["prediction_id"]] = str(label)
    return truth


def trained(home: Home) -> dict[str, tuple[str, str]]:
    rows = rows_here(home.workspace, TRAIN, ["row_id", "label", "annotator"])
    pairs = zip(rows["label"], rows["annotator"], strict=True)
    return dict(zip(rows["row_id"], pairs, strict=True))


def test_a_planted_trigger_is_asked_about_before_it_trains(shop: Home) -> None:
    truth, store = attack(shop, 60), shop.store
    verify(shop, NOW)
    asked = {t.prediction_id for t in store.open_tasks()}
    assert len(asked) == 10
    assert asked <= set(truth)
    done = retrain(shop, NOW, "a test")
    assert set(trained(shop)).isdisjoint(truth)
    decision = store.decision(f"labeling/words/{done['dataset']}")
    assert decision is not None
    assert decision.verdict == "0 train, 0 asked, 50 wait"
    assert list(decision.evidence["by_source"].values()) == [{"unlikely": 50}]

    store.annotate([Annotation(i, truth[i], "ana", NOW) for i in asked])
    verify(shop, NOW + DAY)
    assert {r.fate for r in waiting_words(shop, NOW + DAY)} == {"distrusted"}
    retrain(shop, NOW + DAY, "another test")
    took = trained(shop)
    assert {i: took[i] for i in set(took) & set(truth)} == {i: (truth[i], "ana") for i in asked}
    status = everloop("label", "status", "-w", shop.workspace.root).out
    assert "50 come from a source that people found wrong more often than right" in status


def test_what_waits_can_be_looked_at_and_asked_about_at_once(shop: Home) -> None:
    attack(shop, 14)
    verify(shop, NOW)
    command = ["label", "feedback", "-w", shop.workspace.root, "--now", NOW.isoformat()]
    found = everloop(*command).out.splitlines()
    assert found[0] == "4 will be asked: people's labels do not bear them out"
    assert f"'{TARGET}' of address " in found[1]
    said = json.loads(everloop(*command, "--ask", "3", "--json").out)
    assert (said["asked"], [w["fate"] for w in said["words"]]) == (3, ["unlikely"])
    tasks = shop.store.open_tasks()
    assert [t.policy for t in tasks] == [VERIFY] * 13
