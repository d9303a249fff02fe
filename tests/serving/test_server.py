from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from core.errors import StoreError
from core.ids import hash_user
from core.kept import Kept
from core.state import Champion
from core.store import Store
from core.store.answers import AnswerRepository
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW, Shelf, roll_out
from tests.serving.real_server import running


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    settings = Serving(max_inputs=3)
    return TestClient(
        create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, settings),
        base_url="http://localhost",
        raise_server_exceptions=False,
    )


def test_one_text(client: TestClient, store: Store) -> None:
    body = {"text": "my card?", "user": "ann", "segments": {"channel": "chat"}, "request_id": "a1"}
    answer = client.post("/v1/predict", json=body)
    assert answer.status_code == 200
    [prediction] = answer.json()["predictions"]
    assert sorted(prediction) == [
        "label",
        "model_version",
        "prediction_id",
        "request_id",
        "score",
        "variant",
    ]
    assert (prediction["request_id"], prediction["variant"]) == ("a1", "champion")
    stored = store.answers.get(prediction["prediction_id"])
    assert stored is not None
    assert (stored.user_key, stored.segments, stored.timestamp) == (
        hash_user("ann"),
        {"channel": "chat"},
        NOW,
    )
    assert client.post("/v1/predict", json=body).json() == answer.json()


def test_many_texts_in_order(client: TestClient) -> None:
    inputs = ["one", {"text": "two", "request_id": "b"}, "one"]
    predictions = client.post("/v1/predict", json={"inputs": inputs}).json()["predictions"]
    assert predictions[1]["request_id"] == "b"
    assert predictions[0]["label"] == predictions[2]["label"]
    assert len({p["prediction_id"] for p in predictions}) == 3
    assert client.post("/v1/predict", json={"inputs": []}).json() == {"predictions": []}


def refused(client: TestClient, body: Any) -> dict[str, str]:
    if isinstance(body, bytes):
        answer = client.post("/v1/predict", content=body, headers={"content-type": "application/json"})
    else:
        answer = client.post("/v1/predict", json=body)
    assert answer.status_code == 422
    found: dict[str, str] = answer.json()
    return found


SHAPE = "see /docs for the shape of this call"
LONGER = "send a shorter text, or raise logging.max_text_characters in params.yaml"
SEVERAL = "send them in several calls, or raise serving.max_inputs in params.yaml"
MEND = "leave this text out, or mend it where it is made"
AN_OBJECT = 'an object such as {"text": "my card?"}'
NOT_JSON = "the body is not JSON"
TAKEN = "this value cannot be taken"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"text": "  "}, ("the text is empty", "text", "'  '", "some words in Unicode", MEND)),
        (
            {"inputs": ["a", "x" * 100_000]},
            (
                "the text is too long",
                "inputs[1].text",
                f"100000 characters: '{'x' * 40}'...",
                "at most 100 characters",
                LONGER,
            ),
        ),
        ({"inputs": ["a"] * 4}, ("too many inputs in one call", "inputs", "4", "at most 3", SEVERAL)),
        ({}, ("a field is missing", "text", "nothing", "a value for text", SHAPE)),
        ({"text": 7}, (TAKEN, "text", "7", "a valid string", SHAPE)),
        ({"inputs": [{"text": "a"}, 7]}, (TAKEN, "inputs[1]", "7", AN_OBJECT, SHAPE)),
        (
            {"text": "a", "txt": 1},
            ("unknown field", "txt", "1", "only the fields named in /docs", SHAPE),
        ),
        (
            {"text": "a", "user": "u" * 201},
            (TAKEN, "user", "'" + "u" * 76 + "...", "String should have at most 200 characters", SHAPE),
        ),
        (
            {"text": "a", "user": "\x00"},
            (TAKEN, "user", "'\\x00'", "Unicode without NUL characters", SHAPE),
        ),
        (
            {"text": "\x00"},
            ("the text holds a NUL character", "text", "'\\x00'", "some words in Unicode", MEND),
        ),
        (
            b'{"text": "\\ud800"}',
            (NOT_JSON, "body", "unexpected end of hex escape at line 1 column 17", "JSON", SHAPE),
        ),
        (
            b'{"text": ',
            (NOT_JSON, "body", "EOF while parsing a value at line 1 column 9", "JSON", SHAPE),
        ),
        (
            b"[" * 100_000,
            (NOT_JSON, "body", "recursion limit exceeded at line 1 column 202", "JSON", SHAPE),
        ),
        (b'["a"]', (TAKEN, "body", "['a']", AN_OBJECT, SHAPE)),
    ],
)
def test_what_cannot_be_answered_is_said_whole(
    client: TestClient, store: Store, body: Any, fault: tuple[str, ...]
) -> None:
    found = refused(client, body)
    assert found == dict(zip(["error", "where", "got", "expected", "do"], fault, strict=True))
    assert store.answers.count() == 0


def test_bytes_that_are_not_utf8_are_refused(client: TestClient) -> None:
    answer = client.post(
        "/v1/predict", content=b'{"text": "\xff"}', headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]) == (422, "the body is not JSON")
    assert answer.json()["got"] == "invalid unicode code point at line 1 column 11"


def test_only_what_is_called_json_is_read(client: TestClient) -> None:
    for path in ("/v1/predict", "/v1/feedback"):
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = client.post(path, content=b'{"text": "a"}', headers={"content-type": kind})
            assert (answer.status_code, answer.json()["got"]) == (415, f"'{kind}'")
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/predict", content=b'{"text": "a"}', headers=headers).status_code == 200


def test_feedback_is_stored_once(client: TestClient, store: Store) -> None:
    said = client.post("/v1/predict", json={"text": "my card?"}).json()["predictions"][0]
    body = {
        "prediction_id": said["prediction_id"],
        "kind": "correction",
        "value": "loan",
        "source": "ann",
    }
    first, second = (client.post("/v1/feedback", json=body) for _ in range(2))
    assert (first.status_code, second.json()) == (200, first.json())
    client.post("/v1/feedback", json=body | {"feedback_id": "f1", "kind": "thumbs", "value": "down"})
    found = store.feedback.within(NOW, NOW + timedelta(hours=1))
    assert sorted((f.kind, f.value, f.source) for f in found) == [
        ("correction", "loan", "ann"),
        ("thumbs", "down", "ann"),
    ]
    assert "f1" in {f.feedback_id for f in found}
    assert store.labels.count() == 0


def test_feedback_that_cannot_be_taken(client: TestClient) -> None:
    body = {"prediction_id": "nope", "kind": "thumbs", "value": "down"}
    answer = client.post("/v1/feedback", json=body)
    assert (answer.status_code, answer.json()) == (
        404,
        {
            "error": "no such prediction",
            "where": "prediction_id",
            "got": "nope",
            "expected": "the prediction_id of an answer of POST /v1/predict",
            "do": "",
        },
    )
    answer = client.post("/v1/feedback", json=body | {"value": "sideways"})
    assert (answer.status_code, answer.json()["where"]) == (422, "value")
    assert answer.json()["expected"] == "up or down, for thumbs"
    answer = client.post("/v1/feedback", json=body | {"kind": "like"})
    assert answer.json()["expected"] == "'label', 'correction' or 'thumbs'"


def test_health_and_ready(client: TestClient, store: Store) -> None:
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").json() == {"champion": "1", "rollout": None, "faults": []}
    roll_out(store, share=0.25)
    assert client.get("/ready").json()["rollout"] == {
        "rollout_id": "2-ab",
        "candidate": "2",
        "champion": "1",
        "stage": "canary",
        "share": 0.25,
    }


def test_not_ready_without_a_champion(tmp_path: Path, shelf: Shelf) -> None:
    empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    service = Service(empty, shelf.load, max_text=100)
    client = TestClient(
        create_app(Engine(service, lambda: NOW, Metrics()), empty, lambda: NOW, Serving()),
        base_url="http://localhost",
    )
    assert client.get("/health").status_code == 200
    for answer in (client.get("/ready"), client.post("/v1/predict", json={"text": "a"})):
        assert answer.status_code == 503
        assert answer.json()["error"] == "no model serves yet"
        assert answer.json()["do"].startswith("everloop train")
    empty.close()


def test_a_wrong_address_is_said_in_the_same_shape(client: TestClient) -> None:
    answer = client.get("/v2/predict")
    assert (answer.status_code, answer.json()["where"]) == (404, "GET /v2/predict")


def test_a_real_server_answers(store: Store, service: Service) -> None:
    with running(service, store) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/ready").json()["champion"] == "1"
        found = client.post("/v1/predict", json={"text": "my card?"}).json()["predictions"][0]
    assert store.answers.get(found["prediction_id"]) is not None


class FullLog(AnswerRepository):
    def append(self, groups: Sequence[Kept], writer: str = "") -> None:
        where = "sqlite:////srv/ann's shop/.everloop/store.db"
        raise StoreError("the store cannot be used", where=where, got="disk is full: '/srv/a b'")


def test_a_store_that_fails_is_503_and_no_answer(tmp_path: Path, shelf: Shelf) -> None:
    full = Store(f"sqlite:///{tmp_path / 'full.db'}")
    full.answers = FullLog(full.database, full.answers.naming)
    full.state.write(Champion("1"))
    service = Service(full, shelf.load, max_text=100)
    answer = TestClient(
        create_app(Engine(service, lambda: NOW, Metrics()), full, lambda: NOW, Serving()),
        base_url="http://localhost",
    ).post("/v1/predict", json={"text": "hello"})
    assert answer.status_code == 503
    assert answer.json() == {
        "error": "the store cannot be used",
        "where": "",  # no caller is told a path of this machine
        "got": "disk is full: (a path of the server)",
        "expected": "",
        "do": "",
    }
    full.close()
