"""What users say of answers that a model wrote, through /v1/feedback: taken, checked, kept, read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from core.ids import uuid7
from core.records.answers import GenerationDetail, Prediction
from core.store import Store
from core.tasks import Generation
from monitoring.accuracy.feedback import complaints, feedback_by_answer
from pipelines.logging.all import All
from pipelines.logging.profile import Profiled
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW, Shelf

SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
TASK = Generation(policy="generation", judge="json", json_schema=SCHEMA)
CALL = '{"name": "pay", "card": 1}'
SAME = '{"card": 1, "name": "pay"}'
OTHER = '{"name": "play"}'


def written(place: str, text: str = "pay my card", output: str = CALL) -> Prediction:
    return Prediction(
        prediction_id=uuid7(NOW, place),
        request_id=place,
        timestamp=NOW,
        model_version="1",
        variant="champion",
        text=text,
        output=output,
        confidence=0.9,
        detail=GenerationDetail(),
        embedding=np.ones(4, np.float16),
        encoder="tiny",
        segments={},
        user_key="",
        latency_ms=1.0,
    )


A, B, C = written("a"), written("b", output=OTHER), written("c", text="another request")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/store.db", task=TASK)
    store.answers.log([A, B, C])
    yield store
    store.close()


def client_of(store: Store, **logging: Any) -> TestClient:
    policy = logging.pop("as_policy", None) or All(policy="all", **logging)
    service = Service(store, Shelf().load, max_text=100, policy=policy)
    app = create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())
    return TestClient(app, base_url="http://localhost")


def say(client: TestClient, kind: str, value: Any, about: Prediction = A) -> Any:
    body = {"prediction_id": about.prediction_id, "kind": kind, "value": value}
    return client.post("/v1/feedback", json=body)


def stored(store: Store) -> dict[str, str]:
    return {f.kind: f.value for f in store.feedback.within(NOW, NOW + timedelta(days=1))}


def test_every_kind_is_taken_and_kept_as_it_was_said(writer: Store) -> None:
    client = client_of(writer)
    said = {"rating": 0.75, "thumbs": "up", "comment": "nearly", "preference": B.prediction_id}
    for kind, value in (said | {"demonstration": json.loads(SAME)}).items():
        assert say(client, kind, value).status_code == 200, kind
    as_text = {kind: str(value) for kind, value in said.items()}
    assert stored(writer) == as_text | {"demonstration": SAME}
    assert say(client, "rating", 0.75).status_code == 200
    assert len(writer.feedback.within(NOW, NOW + timedelta(days=1))) == 5


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("rating", 4, "a rating is a number from 0 to 1; one of 1 to 5 stars is (stars - 1) / 4"),
        ("rating", "good", "a rating is a number from 0 to 1"),
        ("thumbs", "sideways", "thumbs are up or down"),
        ("comment", " ", "a comment is a text"),
        ("demonstration", "no json", "the answer is no JSON"),
        ("demonstration", {"name": 3}, "$.name: 3 is not of type 'string'"),
        ("demonstration", "", "no answer"),
        ("preference", "the other one", "the prediction_id of the answer that is worse"),
    ],
    ids=lambda x: str(x)[:20].replace(" ", "-"),
)
def test_what_is_no_such_word_is_one_clear_error(writer: Store, kind, value, says) -> None:
    answer = say(client_of(writer), kind, value)
    assert (answer.status_code, answer.json()["where"]) == (422, "value")
    assert says in answer.json()["error"]
    assert answer.json()["error"].startswith(f"this {kind} cannot be taken: ")
    assert stored(writer) == {}


def test_only_answers_to_one_request_are_compared(writer: Store) -> None:
    client = client_of(writer)
    for other in (A, C):
        answer = say(client, "preference", other.prediction_id)
        assert (answer.status_code, answer.json()["error"]) == (422, "these answers cannot be compared")
    answer = say(client, "preference", written("never").prediction_id)
    assert (answer.status_code, answer.json()["where"]) == (404, "value")
    assert say(client, "label", "pay").json()["where"] == "kind"


def test_texts_of_users_are_redacted_and_forgotten(writer: Store) -> None:
    client = client_of(writer, redact=["email"])
    say(client, "comment", "ask ana@example.org")
    say(client, "demonstration", {"name": "ana@example.org"})
    assert stored(writer) == {"comment": "ask [EMAIL]", "demonstration": '{"name": "[EMAIL]"}'}
    writer.erasure.erase([A.prediction_id], [A.text])
    assert stored(writer) == {}


def test_where_no_text_is_kept_none_is_taken(writer: Store) -> None:
    client = client_of(writer, as_policy=Profiled(policy="profile"))
    answer = say(client, "comment", "ask ana")
    assert (answer.status_code, answer.json()["error"]) == (422, "no text is kept here")
    assert "ana" not in answer.text
    assert say(client, "rating", 1).status_code == 200


def test_words_score_answers_and_say_who_complained(writer: Store) -> None:
    client = client_of(writer)
    say(client, "rating", 0.25)
    say(client, "demonstration", OTHER, B)
    say(client, "comment", "well", C)
    window = writer.answers.window(NOW, NOW + timedelta(days=1))
    told = pd.DataFrame([vars(f) for f in writer.feedback.within(NOW, NOW + timedelta(days=1))])
    until = np.full(3, np.datetime64("2026-01-06"))
    found = feedback_by_answer(window, told, until, TASK)
    by_id = dict(zip(window.rows["prediction_id"], found["score"], strict=True))
    assert (by_id[A.prediction_id], by_id[B.prediction_id]) == (0.25, 1.0)
    assert np.isnan(by_id[C.prediction_id])
    assert writer.feedback.complained(NOW, NOW + timedelta(days=1)) == {A.prediction_id}
    both = told.merge(window.rows[["prediction_id", "output"]])
    assert both.loc[complaints(both, TASK), "prediction_id"].tolist() == [A.prediction_id]


def test_the_same_json_is_no_correction(writer: Store) -> None:
    say(client_of(writer), "demonstration", SAME)
    told = pd.DataFrame([vars(f) for f in writer.feedback.within(NOW, NOW + timedelta(days=1))])
    window = writer.answers.window(NOW, NOW + timedelta(days=1))
    found = feedback_by_answer(window, told, np.full(3, np.datetime64("2026-01-06")), TASK)
    assert not found["corrected"].any()
    assert found["score"].max() == 1.0
    assert writer.feedback.complained(NOW, NOW + timedelta(days=1)) == set()
    assert not writer.answers.side_by_side(NOW, NOW + timedelta(days=1))["complained"].any()
