"""What all protocols share: deadlines, a busy server, and a description with examples."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.errors import BusyError, EverloopError, LateError
from core.records.answers import Prediction, Request
from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.page import examples
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW

TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/predict", {"text": "a"}),
    ("/invocations", {"inputs": ["a"]}),
    ("/endpoints/everloop/invocations", {"inputs": ["a"]}),
    ("/v2/models/everloop/infer", {"inputs": [TENSOR]}),
    ("/v2/models/everloop/versions/1/infer", {"inputs": [TENSOR]}),
]


class WatchedEngine(Engine):
    """An engine that keeps how long it was given, or raises what it was told to."""

    fault: EverloopError | None = None
    seconds = 0.0

    async def predict(
        self, requests: Sequence[Request], deadline: float | None = None
    ) -> list[Prediction]:
        self.seconds = (deadline or math.inf) - time.monotonic()
        if self.fault:
            raise self.fault
        return await super().predict(requests, deadline)


@pytest.fixture
def engine(service: Service) -> WatchedEngine:
    return WatchedEngine(service, lambda: NOW, Metrics())


@pytest.fixture
def client(engine: WatchedEngine, store: Store) -> TestClient:
    return TestClient(
        create_app(engine, store, lambda: NOW, Serving(timeout_ms=20_000)), base_url="http://localhost"
    )


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_caller_may_ask_for_less_time_but_not_for_more(
    client: TestClient, engine: WatchedEngine, path: str, body: Any
) -> None:
    for header, seconds in (({}, 20), ({"x-timeout-ms": "5000"}, 5), ({"x-timeout-ms": "1e9"}, 20)):
        assert client.post(path, json=body, headers=header).status_code == 200
        assert seconds - 4 < engine.seconds <= seconds


@pytest.mark.parametrize("wrong", ["soon", "0", "-5", "nan", ""])
def test_a_time_that_is_none(client: TestClient, wrong: str) -> None:
    for (path, body), status in zip(CALLS, (422, 400, 400, 400, 400), strict=True):
        answer = client.post(path, json=body, headers={"x-timeout-ms": wrong})
        assert (answer.status_code, "X-Timeout-Ms" in answer.text) == (status, True)


def test_a_tensor_request_says_its_time_in_microseconds(
    client: TestClient, engine: WatchedEngine
) -> None:
    for timeout, seconds in ((5_000_000, 5), (0, 20), (10**30, 20)):
        body = {"inputs": [TENSOR], "parameters": {"timeout": timeout}}
        assert client.post("/v2/models/everloop/infer", json=body).status_code == 200
        assert seconds - 4 < engine.seconds <= seconds


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_a_busy_server_says_when_to_ask_again(
    client: TestClient, engine: WatchedEngine, path: str, body: Any
) -> None:
    for wait, header in ((0.2, "1"), (2.4, "3")):
        engine.fault = BusyError("too much is waiting", retry_seconds=wait)
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, header)
        assert "too much is waiting" in answer.text
    engine.fault = LateError("not in time")
    answer = client.post(path, json=body)
    assert (answer.status_code, "retry-after" in answer.headers) == (504, False)


def test_every_route_is_described_with_examples(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    bare = []
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            assert call["description"], path
            for body in (call.get("requestBody", {}), *call["responses"].values()):
                for kind, content in body.get("content", {}).items():
                    if kind != "application/octet-stream" and not examples(content, document):
                        bare.append((method, path, kind))
    assert bare == []


class Fetches(HTMLParser):
    """Every address that a browser would load for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and tag != "a"]


def test_the_page_of_the_interface_needs_no_network(client: TestClient) -> None:
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page
    assert "&#34;text&#34;: &#34;my card?&#34;" in page
    fetches = Fetches()
    fetches.feed(page)
    assert fetches.found == []
