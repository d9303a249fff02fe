"""Pages of other sites, HEAD, and headers that nobody would send: the same on every route."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.keys import OPEN
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW
from tests.serving.test_bodies import CALLS, INFER, TENSOR

GET = [
    *("/health", "/ready", "/ping", "/version", "/metrics", "/docs", "/openapi.json", "/label"),
    *("/label/app.js", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/everloop"),
    *("/v2/models/everloop/ready", "/v2/models/everloop/versions/1", "/api/2.0/endpoints/"),
    *("/v2/models/everloop/versions/1/ready", "/api/2.0/endpoints/everloop", "/v1/label/setup"),
    *("/v1/label/next?annotator=ann", "/v1/label/progress?annotator=ann"),
]
GUARDED = [p for p in GET if p.partition("?")[0] not in OPEN and not p.startswith("/label")]


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    engine = Engine(service, lambda: NOW, Metrics())
    app = create_app(engine, store, lambda: NOW, Serving())
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


FOREIGN = [
    {"origin": "https://evil.test"},
    {"origin": "http://localhost:3000"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://[::1"},
    {"origin": "http://[evil]"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"host": "evil.test"},  # a name that points at this machine
    {"host": "evil.test", "origin": "http://evil.test"},
    {"host": "localhost.evil.test:8000"},
    {"host": "127.0.0.1.evil.test"},
    {"host": "localhost@evil.test"},
    {"host": "[::1"},
    {"host": "evil"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_site_is_refused_on_every_route(
    client: TestClient, store: Store, headers: dict[str, str]
) -> None:
    for kind in ("application/json", "text/plain"):
        sent = headers | {"content-type": kind}
        answers = [client.post(path, json=body, headers=sent) for path, (body, _) in CALLS.items()]
        assert [a.status_code for a in answers] == [403] * len(CALLS)
        assert not any("access-control-allow-origin" in a.headers for a in answers)
    assert [client.get(path, headers=headers).status_code for path in GUARDED] == [403] * len(GUARDED)
    assert client.get("/health", headers=headers).status_code == 200
    assert store.answers.count() == 0


def test_a_refusal_is_said_as_the_protocol_says_it(client: TestClient) -> None:
    found = [client.post(path, headers={"host": "evil.test"}).json() for path in CALLS]
    assert [sorted(f) for f in found] == [
        *[["do", "error", "expected", "got", "where"]] * 3,
        *[["error_code", "message"]] * 2,
        *[["error"]] * 2,
    ]
    assert found[0]["do"] == "everloop keys add NAME --scope SCOPE, and any name will do"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:8000"},
        {"host": "127.0.0.1:8000"},
        {"host": "[::1]:8000"},
        {"host": "10.0.0.7"},
        {"host": "10.0.0.7:8000", "origin": "http://10.0.0.7:8000", "sec-fetch-site": "same-origin"},
        {"host": "LOCALHOST:8000", "origin": "http://localhost:8000"},
        {"host": "127.0.0.1:8000", "x-forwarded-host": "models.example.com"},  # a proxy's own
        {"host": ""},  # a very old client; a browser always names a host
    ],
    ids=str,
)
def test_programs_and_our_own_page_are_answered(client: TestClient, headers: dict[str, str]) -> None:
    for path, (body, status) in CALLS.items():
        assert client.post(path, json=body, headers=headers).status_code == status


def test_with_a_key_any_name_will_do(client: TestClient, store: Store, service: Service) -> None:
    token = store.keys.add("shop", ["predict"], NOW)
    engine = Engine(service, lambda: NOW, Metrics())
    app = create_app(engine, store, lambda: NOW, Serving())
    client = TestClient(app, base_url="https://models.example.com")
    headers = {"authorization": f"Bearer {token}"}
    assert client.post("/v1/predict", json={"text": "a"}, headers=headers).status_code == 200
    assert client.post("/v1/predict", json={"text": "a"}).status_code == 401
    headers |= {"origin": "https://evil.test"}
    assert client.post("/v1/predict", json={"text": "a"}, headers=headers).status_code == 403


@pytest.mark.parametrize("path", GET)
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    head, got = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":  # which counts the calls
        assert head.headers["content-length"] == str(len(got.content))


def test_head_of_what_is_not_there(client: TestClient) -> None:
    assert client.head("/nothing").status_code == 404
    assert client.head("/v1/predict").status_code == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"x-timeout-ms": "9" * 400},
        {"x-timeout-ms": "inf"},
        {"inference-header-content-length": "9" * 400},
        {"traceparent": "00-" + "f" * 9000},
        {"authorization": "Bearer " + "x" * 9000},
        {"x-forwarded-for": "[::1, 999.9.9.9"},
        {"x-request-id": "\x01" * 200},
        {"content-type": "application/json; charset"},
        {"content-type": ";;;"},
        {"accept": "\x7f"},
    ],
    ids=lambda h: next(iter(h)),
)
def test_no_header_makes_the_server_fail(client: TestClient, headers: dict[str, str]) -> None:
    for path, (body, _) in CALLS.items():
        assert client.post(path, json=body, headers=headers).status_code < 500
    raw = {name: bytes(255 - i for i in range(100)) for name in headers}
    assert client.post(INFER, json={"inputs": [TENSOR]}, headers=raw).status_code < 500


@pytest.mark.parametrize("timeout", [10**400, 10**4000, 2**63, 10**12])
def test_a_very_long_time_is_what_the_server_allows(client: TestClient, timeout: int) -> None:
    body: dict[str, Any] = {"inputs": [TENSOR], "parameters": {"timeout": timeout}}
    assert client.post(INFER, json=body).status_code == 200
