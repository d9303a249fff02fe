"""What the server says of itself: JSON lines, request ids, numbers, and failures without tracebacks."""

from __future__ import annotations

import json
import logging.config
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from core.store import Store
from serving.access_log import JsonLines, log_config
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW


@pytest.fixture
def app(store: Store, service: Service) -> FastAPI:
    made = create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())

    @made.get("/broken")
    def broken() -> None:
        raise RuntimeError("a fault of ours")

    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    logger = logging.getLogger("serving")
    before = logger.level
    logger.setLevel("INFO")
    yield TestClient(app, base_url="http://localhost")
    logger.setLevel(before)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_one_line_a_request(client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    client.post("/v1/predict", json={"text": "my card?"}, headers={"x-request-id": "r-17"})
    [line] = lines(capsys)
    assert line.pop("time") > "2026"
    assert 0 < line.pop("ms") < 60_000
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "r-17",
        "method": "POST",
        "route": "/v1/predict",
        "status": 200,
        "key": "",
        "client": "testclient",
    }


def test_a_request_keeps_a_sane_id_and_else_gets_one(client: TestClient) -> None:
    def given(sent: str) -> str:
        return str(client.get("/health", headers={"x-request-id": sent}).headers["x-request-id"])

    assert given("0af7651916cd43dd-8448eb211c80319c") == "0af7651916cd43dd-8448eb211c80319c"
    made = [given(bad) for bad in ("", "x" * 129, 'a"b', "a b", "a\tb")]
    assert len(set(made)) == 5
    assert {len(m) for m in made} == {16}


def test_every_answer_carries_its_id(client: TestClient) -> None:
    for answer in (client.get("/nowhere"), client.post("/v1/predict", json={}), client.get("/broken")):
        assert answer.headers["x-request-id"]


def test_a_failure_is_told_to_the_log_and_not_to_the_caller(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/broken", headers={"x-request-id": "r-18"})
    assert (answer.status_code, answer.json()) == (
        500,
        {
            "error": "the server failed",
            "where": "request r-18",
            "got": "",
            "expected": "",
            "do": "ask again; the server's log has the reason under this request id",
        },
    )
    failed, request = lines(capsys)
    assert (failed["level"], failed["request_id"], failed["route"]) == ("error", "r-18", "/broken")
    assert failed["traceback"].endswith("RuntimeError: a fault of ours\n")
    assert (request["level"], request["status"]) == ("error", 500)


def test_no_token_and_no_text_is_ever_logged(
    store: Store, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    token = store.keys.add("shop", ["feedback"], NOW)
    app = create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())
    logging.getLogger("serving").setLevel("INFO")
    headers = {"authorization": f"Bearer {token}"}
    client = TestClient(app, base_url="http://localhost")
    client.post(f"/v1/feedback?token={token}", json={"value": "a secret text"}, headers=headers)
    client.get(f"/v1/{token}", headers=headers)
    client.post("/v1/predict", json={"text": "a secret text"}, headers=headers | {"x-api-key": token})
    logging.getLogger("serving").setLevel("NOTSET")
    said = capsys.readouterr().err
    assert [json.loads(line)["status"] for line in said.splitlines()] == [422, 403, 403]
    assert '"key":"shop"' in said
    assert token not in said
    assert "secret" not in said


def test_what_others_log_has_the_same_shape() -> None:
    def line(name: str, level: int, message: str, *args: Any, fault: Any = None) -> dict[str, Any]:
        record = logging.LogRecord(name, level, "f", 1, message, args, fault)
        found: dict[str, Any] = json.loads(JsonLines().format(record))
        return found

    plain = line("uvicorn.error", logging.INFO, "Started server process [%d]", 7)
    assert (plain["level"], plain["event"]) == ("info", "Started server process [7]")
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        failed = line("uvicorn.error", logging.ERROR, "it failed", fault=sys.exc_info())
    assert failed["traceback"].endswith("ValueError: line one\nline two")


def test_the_log_configuration_is_one_that_python_takes() -> None:
    assert log_config("warning")["loggers"]["serving"] == {"level": "WARNING"}
    logging.config.DictConfigurator(log_config("info"))  # type: ignore[attr-defined]


def numbers(client: TestClient, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric: its labels -> value."""
    page = client.get("/metrics").text
    return {
        tuple(s.labels[k] for k in ("route", "code") if k in s.labels): s.value
        for family in text_string_to_metric_families(page)
        for s in family.samples
        if s.name == name
    }


def test_requests_are_counted_by_route_and_code(client: TestClient) -> None:
    for text in ("a", "b", " "):
        client.post("/v1/predict", json={"text": text})
    found = numbers(client, "everloop_requests_total")
    assert found == {("/v1/predict", "200"): 2, ("/v1/predict", "422"): 1}
    assert numbers(client, "everloop_request_seconds_count")[("/v1/predict",)] == 3


def test_a_scan_of_the_server_makes_one_series(client: TestClient) -> None:
    for i in range(50):
        client.get(f"/admin/{i}.php")
        client.request(f"M{i}", "/v1/predict")
    found = numbers(client, "everloop_requests_total")
    assert found == {("other", "404"): 50, ("/v1/predict", "405"): 50}


def test_metrics_are_in_the_format_of_prometheus(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert numbers(client, "process_resident_memory_bytes")[()] > 1e6
