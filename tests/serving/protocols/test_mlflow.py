"""The MLflow scoring protocol, by MLflow's own clients and by hand."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from core.ids import hash_user
from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW, HashEncoder, LinearHead, Shelf
from tests.serving.real_server import running

TEXTS = ["my card?", "where is it?"]
LABELS = [
    ["card", "cash"][p.argmax()]
    for p in LinearHead(["card", "cash"], seed=1).probabilities(HashEncoder().encode(TEXTS))
]


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    engine = Engine(service, lambda: NOW, Metrics())
    return TestClient(
        create_app(engine, store, lambda: NOW, Serving(max_inputs=3)), base_url="http://localhost"
    )


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow of its own code
def test_the_scoring_client_of_mlflow(store: Store, service: Service) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    with running(service, store) as url:
        client = ScoringServerClient("127.0.0.1", urlsplit(url).port)
        client.wait_server_ready(timeout=10)
        assert client.get_version() == version("mlflow")
        frame = client.invoke(pd.DataFrame({"id": [1, 2], "text": TEXTS})).get_predictions()
        listed = client.invoke(TEXTS).get_predictions()
        client.invoke(np.array([["my card?"]]), params={"user": "ann"})
    assert list(frame["label"]) == list(listed["label"]) == LABELS
    assert set(frame["model_version"]) == {"1"}
    assert set(frame["variant"]) == {"champion"}
    assert store.answers.get(frame["prediction_id"][1]).text == "where is it?"


def test_the_deployment_client_of_mlflow(store: Store, service: Service) -> None:
    from mlflow.deployments import get_deploy_client

    with running(service, store) as url:
        client = get_deploy_client(url)
        [endpoint] = client.list_endpoints()
        assert client.get_endpoint("everloop") == endpoint
        assert endpoint.endpoint_url == f"{url}/endpoints/everloop/invocations"
        found = client.predict(endpoint=endpoint.name, inputs={"inputs": TEXTS})
        assert [p["variant"] for p in found["predictions"]] == ["champion"] * 2
        with pytest.raises(Exception, match="no such endpoint"):
            client.predict(endpoint="chat", inputs={"inputs": TEXTS})
    assert store.answers.count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["id", "text"], "data": [[1, TEXTS[0]], [2, TEXTS[1]]]}},
        {"dataframe_split": {"columns": ["question"], "index": [7, 8], "data": [[t] for t in TEXTS]}},
        {"dataframe_split": {"data": [[t, 1] for t in TEXTS]}},
        {"dataframe_records": [{"id": 1, "text": t} for t in TEXTS]},
        {"dataframe_records": [{"question": t} for t in TEXTS], "params": None},
        {"instances": TEXTS},
        {"instances": [[t] for t in TEXTS]},
        {"instances": [{"text": t} for t in TEXTS], "signature_name": "predict"},
        {"inputs": TEXTS},
        {"inputs": {"text": TEXTS}},
        {"inputs": [{"question": t} for t in TEXTS]},
    ],
)
def test_every_form_of_input(client: TestClient, store: Store, body: Any) -> None:
    answer = client.post("/invocations", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()["predictions"]
    assert [store.answers.get(p["prediction_id"]).text for p in found] == TEXTS


def test_one_text_and_csv(client: TestClient, store: Store) -> None:
    [alone] = client.post("/invocations", json={"inputs": "my card?"}).json()["predictions"]
    assert store.answers.get(alone["prediction_id"]).text == "my card?"
    table = 'id,text\r\n1,"my card, please?"\r\n2,NA\r\n'
    csv = client.post("/invocations", content=table, headers={"content-type": "text/csv"})
    found = [store.answers.get(p["prediction_id"]).text for p in csv.json()["predictions"]]
    assert found == ["my card, please?", "NA"]


@pytest.mark.parametrize("table", ["", "\n", "text", "\n\n\n"])
def test_csv_without_rows_has_no_predictions(client: TestClient, table: str) -> None:
    answer = client.post("/invocations", content=table, headers={"content-type": "text/csv"})
    assert (answer.status_code, answer.json()) == (200, {"predictions": []})


def test_who_asks_may_be_said_in_params(client: TestClient, store: Store) -> None:
    params = {"user": "ann", "segments": {"channel": "chat"}}
    body = {"inputs": ["my card?"], "params": params}
    [found] = client.post("/invocations", json=body).json()["predictions"]
    stored = store.answers.get(found["prediction_id"])
    assert (stored.user_key, stored.segments) == (hash_user("ann"), {"channel": "chat"})


FORMS = "exactly one of dataframe_split, dataframe_records, instances, inputs"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, f"one form of input is needed; at body; got none; expected {FORMS}"),
        (
            {"inputs": ["a"], "instances": ["a"]},
            f"one form of input is needed; at body; got instances, inputs; expected {FORMS}",
        ),
        ({"inputs": ["a", 7]}, "this row has no text; at inputs[1]; got 7; expected a text"),
        ({"inputs": [[]]}, "this row has no text; at inputs[0]; got []; expected a text"),
        ({"inputs": {}}, "no texts here; at inputs; got None; expected a list of texts"),
        (
            {"dataframe_split": {"columns": ["id", "text"], "data": [[1]]}},
            "this row has no text; at dataframe_split[0]; got []; expected a text",
        ),
        (
            {"inputs": ["a"], "params": {"temperature": 1}},
            "unknown field; at params.temperature; got 1; expected only the fields named in /docs; "
            "see /docs for the shape of this call",
        ),
        (
            {"inputs": ["a"] * 4},
            "too many inputs in one call; at inputs; got 4; expected at most 3; "
            "send them in several calls, or raise serving.max_inputs in params.yaml",
        ),
    ],
)
def test_faults_are_told_as_mlflow_tells_them(client: TestClient, body: Any, message: str) -> None:
    answer = client.post("/invocations", json=body)
    assert answer.status_code == 400
    assert answer.json() == {"error_code": "BAD_REQUEST", "message": message}


@pytest.mark.parametrize(
    ("kind", "content", "status", "message"),
    [
        ("application/json", b"{", 400, "the body is not JSON; at body; got EOF while parsing"),
        ("text/csv", b'text\n"a\n', 400, "the body is not CSV; at body; got unexpected end of data"),
        ("text/csv", b"text\n\xff\n", 400, "the body is not CSV; at body; got 'utf-8' codec"),
        ("text/csv", b"id,text\n1\n", 400, "this row has no text; at row[0]; got []"),
        ("text/plain", b"my card?", 415, "this content type is not read here; at header content-type"),
        ("text/csv; charset=latin-1", b"text\na\n", 415, "this content type is not read here"),
    ],
)
def test_bodies_that_cannot_be_read(
    client: TestClient, kind: str, content: bytes, status: int, message: str
) -> None:
    answer = client.post("/invocations", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error_code"]) == (status, "BAD_REQUEST")
    assert answer.json()["message"].startswith(message)


def test_ping_is_503_while_no_model_is_loaded(tmp_path: Path, shelf: Shelf) -> None:
    empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    engine = Engine(Service(empty, shelf.load, max_text=100), lambda: NOW, Metrics())
    client = TestClient(create_app(engine, empty, lambda: NOW, Serving()), base_url="http://localhost")
    for answer in (client.get("/ping"), client.post("/invocations", json={"inputs": ["a"]})):
        assert answer.status_code == 503
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert "no model serves yet" in json.loads(answer.text)["message"]
    empty.close()
