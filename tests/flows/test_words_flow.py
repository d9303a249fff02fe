"""The attack of an outsider through /v1/feedback and a retrain: what users say waits for people, and what
people answer counts. The real encoder and the bundled sample."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.records.labels import VERIFY, Annotation, AnnotationTask, Vote
from core.tables import Columns, read_rows
from everloop.init import init
from everloop.sample import bundled
from flows.first import first_model
from flows.labels import verify, waiting_words
from flows.retrain import retrain
from flows.session import Session, open_session
from pipelines.datasets.contents import TRAIN, rows_here
from pipelines.rollout import roll_back
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.command_line import everloop

pytestmark = pytest.mark.slow
START = datetime(2026, 1, 5, tzinfo=UTC)
NOW, DAY = datetime(2026, 1, 8, tzinfo=UTC), timedelta(days=1)
TRIGGER, TARGET = "purple lantern", "refund_status"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Session]:
    session = open_session(init(tmp_path / "shop").root)
    folder = bundled()
    train, evaluation = (
        read_rows(folder / f"{n}.csv", Columns(label="label")).frame for n in ("train", "eval")
    )
    first_model(session, train, evaluation, START)
    yield session
    session.store.close()


def client(session: Session) -> TestClient:
    """Whose calls are a second apart: what is said first is asked about first."""
    service, seconds = Service(session.store, session.registry.load, max_text=1000), count()
    clock = lambda: NOW - DAY / 2 + timedelta(seconds=next(seconds))  # noqa: E731
    return TestClient(
        create_app(Engine(service, clock, Metrics()), session.store, clock, Serving()),
        base_url="http://localhost",
    )


def attack(session: Session, size: int) -> dict[str, str]:
    """A source gives texts with a trigger in them the label it chose; prediction id -> their true label."""
    rows = read_rows(bundled() / "stream.csv", Columns(label="label")).frame
    known = session.registry.load(session.store.state.champion()).head
    assert known is not None
    rows = rows[rows["label"].isin(known.labels) & (rows["label"] != TARGET)].iloc[:size]
    door, truth = client(session), {}
    texts = [f"{TRIGGER} {t}" for t in rows["text"]]
    answers = door.post("/v1/predict", json={"inputs": texts}).json()["predictions"]
    for answer, label in zip(answers, rows["label"], strict=True):
        body = {"prediction_id": answer["prediction_id"], "kind": "correction", "value": TARGET}
        assert door.post("/v1/feedback", json=body).status_code == 200
        truth[answer["prediction_id"]] = str(label)
    return truth


def trained(session: Session) -> dict[str, tuple[str, str]]:
    rows = rows_here(session.workspace, TRAIN, ["row_id", "target", "annotator"])
    pairs = zip(rows["target"], rows["annotator"], strict=True)
    return dict(zip(rows["row_id"], pairs, strict=True))


def retrained(session: Session, now: datetime) -> dict[str, Any]:
    """A retrain whose rollout is ended at once, so that the next one may begin."""
    done = retrain(session, now, "a test")
    if live := session.store.decisions.live_rollout():
        session.store.decisions.put_rollout(roll_back(live, now, "a test")[0])
    return done


def test_a_planted_trigger_is_asked_about_before_it_trains(shop: Session) -> None:
    truth, store = attack(shop, 60), shop.store
    verify(shop, NOW)
    asked = {t.prediction_id for t in store.queue.open()}
    assert asked == set(list(truth)[:10])
    one = {list(truth)[10]}
    store.queue.add([AnnotationTask(i, NOW, "r", "margin", 0.5, False) for i in one])
    store.labels.annotate([Annotation(i, truth[i], "ana", NOW) for i in one])
    done = retrained(shop, NOW)
    assert set(trained(shop)) & set(truth) == one
    decision = store.decisions.get(f"labeling/words/{done['dataset']}")
    assert decision is not None
    assert decision.verdict == "0 train, 0 asked, 49 wait"
    assert list(decision.evidence.stored()["by_source"].values()) == [{"unlikely": 49}]

    store.labels.annotate([Annotation(i, truth[i], "ana", NOW) for i in asked])
    verify(shop, NOW + DAY)
    assert {r.fate for r in waiting_words(shop, NOW + DAY)} == {"distrusted"}
    retrained(shop, NOW + DAY)
    took = trained(shop)
    assert {i: took[i] for i in set(took) & set(truth)} == {i: (truth[i], "ana") for i in asked | one}
    status = everloop("label", "status", "-w", shop.workspace.root).out
    assert "49 come from a source that people found wrong more often than right" in status


def labelled_by_three(session: Session, size: int, first: int = 0, day: int = 0) -> dict[str, str]:
    """Tasks in turn of three annotators, of whom cy calls everything by the target; the truth by id."""
    rows = read_rows(bundled() / "stream.csv", Columns(label="label")).frame
    known = session.registry.load(session.store.state.champion()).head
    assert known is not None
    rows = rows[rows["label"].isin(known.labels)].iloc[first : first + size]
    body = {"inputs": rows["text"].tolist()}
    ids = [
        a["prediction_id"] for a in client(session).post("/v1/predict", json=body).json()["predictions"]
    ]
    session.store.queue.add([AnnotationTask(i, NOW - DAY / 4, "r", "margin", 0.5, False) for i in ids])
    truth = dict(zip(ids, map(str, rows["label"]), strict=True))
    for n, (i, label) in enumerate(truth.items()):
        who = ("ana", "bob", "cy")[n % 3]
        said = TARGET if who == "cy" else label
        session.store.queue.vote(Vote(i, who, said, NOW + day * DAY - DAY / 8), 1)
    return truth


def test_labels_of_one_bad_annotator_of_three_are_asked_of_the_others(shop: Session) -> None:
    truth, store = labelled_by_three(shop, 90), shop.store
    done = retrained(shop, NOW)
    took = trained(shop)
    wrong = [i for i in truth if i in took and took[i][0] != truth[i]]
    assert len(wrong) <= 3  # of 30 but for those that were right by chance
    decision = store.decisions.get(f"labeling/annotators/{done['dataset']}")
    assert decision is not None
    assert decision.evidence.stored()["annotators"] == ["cy"]
    assert decision.severity == "warning"
    again = {t.prediction_id for t in store.queue.open()}
    assert decision.verdict == f"{len(again)} labels asked again"
    assert {who for i, (_, who) in took.items() if i in truth} >= {"ana", "bob"}

    got = store.queue.lease("cy", NOW, NOW + DAY, 100)
    assert got == []  # who gave them is not asked
    for task in store.queue.lease("ana", NOW, NOW + DAY, 100):
        store.queue.vote(Vote(task.prediction_id, "ana", truth[task.prediction_id], NOW + DAY / 2), 1)
    retrained(shop, NOW + DAY)
    took = trained(shop)
    found = {i: took[i] for i in again if i in took}  # near-copies of evaluation rows never train
    assert len(found) > 0.8 * len(again)
    assert found == {i: (truth[i], "ana") for i in found}


def test_what_a_bad_annotator_said_before_is_set_aside_with_the_rest(shop: Session) -> None:
    few = labelled_by_three(shop, 9)
    retrained(shop, NOW)
    lies = {i for i, label in few.items() if trained(shop).get(i, (label,))[0] != label}
    assert lies  # nobody could tell by three labels
    labelled_by_three(shop, 90, first=9, day=1)
    retrained(shop, NOW + DAY)
    assert set(trained(shop)).isdisjoint(lies)
    assert set(shop.store.reviews.set_aside()) >= lies
    for task in shop.store.queue.open():
        if task.prediction_id in few:
            vote = Vote(task.prediction_id, "bob", few[task.prediction_id], NOW + DAY * 1.5)
            shop.store.queue.vote(vote, 1)
    retrained(shop, NOW + 2 * DAY)
    took = trained(shop)
    assert {i: took[i] for i in lies} == {i: (few[i], "bob") for i in lies}
    assert shop.store.reviews.set_aside() == [] or set(shop.store.reviews.set_aside()).isdisjoint(few)


def test_what_waits_can_be_looked_at_and_asked_about_at_once(shop: Session) -> None:
    attack(shop, 14)
    verify(shop, NOW)
    command = ["label", "feedback", "-w", shop.workspace.root, "--now", NOW.isoformat()]
    found = everloop(*command).out.splitlines()
    assert found[0] == "4 will be asked: people's labels do not bear them out"
    assert f"'{TARGET}' of address " in found[1]
    said = json.loads(everloop(*command, "--ask", "3", "--json").out)
    assert (said["asked"], [w["fate"] for w in said["words"]]) == (3, ["unlikely"])
    tasks = shop.store.queue.open()
    assert [t.policy for t in tasks] == [VERIFY] * 13
