"""How much one caller may send."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.ids import hash_user
from core.store import Store
from serving.app import create_app
from serving.bodies import Bodies
from serving.engine import Engine
from serving.limits import FeedbackLimit, Rate, source_of
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.shutdown import config_of
from tests.fake_models import NOW

KB = 1024


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    settings = Serving(max_body_bytes=KB, feedback_per_minute=3)
    return TestClient(
        create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, settings),
        base_url="http://localhost",
    )


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(0, size, 256):
        yield b"x" * 256


def test_a_body_that_announces_too_much_is_not_read(client: TestClient) -> None:
    answer = client.post("/v1/predict", content=b"x" * (KB + 1))
    assert answer.status_code == 413
    assert answer.json() == {
        "error": "the body is too big",
        "where": "body",
        "got": "1025 bytes",
        "expected": "at most 1024 bytes",
        "do": "send it in several calls, or raise serving.max_body_bytes in params.yaml",
    }
    assert client.post("/v1/predict", content=b"x" * KB).status_code == 415


def test_a_body_in_chunks_is_counted(client: TestClient) -> None:
    answer = client.post("/v1/predict", content=chunks(8 * KB))
    assert (answer.status_code, answer.json()["got"]) == (413, "more than 1024 bytes")
    assert client.post("/v1/predict", content=chunks(KB)).status_code == 415


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": (await receive())["body"]})


def call(limit: Any, messages: list[dict[str, Any]], **scope: Any) -> list[dict[str, Any]]:
    """What the app sends to one who sends these messages, and then nothing more for ever."""
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    whole = {"type": "http", "path": "/v1/predict", "method": "POST", "headers": [], **scope}
    asyncio.run(limit(whole, receive, send))
    return sent


CHUNKED = [(b"transfer-encoding", b"chunked")]
PART = {"type": "http.request", "body": b"ab", "more_body": True}


def test_a_body_in_parts_arrives_whole() -> None:
    last = {"type": "http.request", "body": b"c", "more_body": False}
    sent = call(Bodies(_app, most=10), [PART, last], headers=CHUNKED)
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"abc")


def test_who_sends_nothing_for_long_is_let_go() -> None:
    sent = call(Bodies(_app, most=10, seconds=0.01), [PART], headers=CHUNKED)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert b'"got":"2 bytes of it"' in sent[1]["body"]


def test_who_leaves_in_the_middle_is_not_answered() -> None:
    assert call(Bodies(_app, most=10), [PART, {"type": "http.disconnect"}], headers=CHUNKED) == []


def test_without_a_body_nobody_waits_for_one() -> None:
    for headers in ([], [(b"content-length", b"0")]):
        sent = call(Bodies(_app, most=10), [{"type": "http.disconnect"}], headers=headers)
        assert (sent[0]["status"], sent[1]["body"]) == (200, b"")


@pytest.mark.parametrize("path", ["/v2/models/everloop/infer", "/invocations"])
def test_a_big_body_of_another_protocol(client: TestClient, path: str) -> None:
    answer = client.post(path, content=b"x" * (KB + 1))
    assert answer.status_code == 413
    said = answer.json().get("error") or answer.json()["message"]
    assert said.startswith("the body is too big; at body; got 1025 bytes")


def test_a_bucket_fills_again_with_time() -> None:
    rate = Rate(per_minute=60)
    assert [rate.take("ann", 0.0) for _ in range(60)] == [0.0] * 60
    assert rate.take("ann", 0.0) == 1.0
    assert rate.take("ann", 0.5) == 0.5  # refusals cost nothing
    assert rate.take("ann", 1.0) == 0.0
    assert rate.take("ann", 1.0) == 1.0
    assert [rate.take("ann", 3600.0) for _ in range(61)] == [0.0] * 60 + [1.0]


def test_the_memory_of_sources_is_bounded() -> None:
    rate = Rate(per_minute=1, sources=100)
    for i in range(1000):
        rate.take(f"10.0.{i // 256}.{i % 256}", now=float(i) / 1000)
    assert len(rate) == 100
    assert rate.take("10.0.3.231", now=1.0) > 0  # the last one is still known


def test_one_client_cannot_flood_the_labels(client: TestClient, store: Store) -> None:
    said = client.post("/v1/predict", json={"text": "my card?"}).json()["predictions"][0]
    body = {"prediction_id": said["prediction_id"], "kind": "label"}
    answers = [client.post("/v1/feedback", json=body | {"value": f"v{i}"}) for i in range(10)]
    assert [a.status_code for a in answers] == [200] * 3 + [429] * 7
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert answers[-1].json()["error"] == "too much feedback from one source"
    assert len(store.feedback.within(NOW, NOW.replace(year=2027))) == 3
    assert client.post("/v1/predict", json={"text": "others are still served"}).status_code == 200


def test_each_source_has_its_own_share() -> None:
    limit = FeedbackLimit(_app, Rate(per_minute=1), clock=lambda: 0.0)
    body = {"type": "http.request", "body": b"", "more_body": False}

    def status(host: str, **state: str) -> int:
        said = call(limit, [dict(body)], path="/v1/feedback", client=(host, 1), state=state)
        return int(said[0]["status"])

    assert [status("10.0.0.1"), status("10.0.0.1"), status("10.0.0.2")] == [200, 429, 200]
    assert [status("10.0.0.1", key="shop"), status("10.0.0.9", key="shop")] == [200, 429]
    assert [status("2001:db8::1"), status("2001:db8::2"), status("2001:db9::1")] == [200, 429, 200]


def test_a_source_without_an_address_is_one_too() -> None:
    assert source_of({"client": None}) == ""
    assert source_of({"client": ("testclient", 1)}) == "testclient"


def caller_behind(forwarded: str, proxies: list[str], client: str = "127.0.0.1") -> str:
    """Whom the server takes for the caller of a call from `client` that names another in a header."""
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(source_of(scope))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    config = config_of(app, Serving(trusted_proxies=proxies), "error")  # type: ignore[arg-type]
    config.load()
    header = [(b"x-forwarded-for", forwarded.encode())]
    call(config.loaded_app, [], headers=header, client=(client, 9), scheme="http")
    return seen[0]


def test_no_caller_chooses_its_own_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own way to believe everybody
    assert {caller_behind(f"10.0.0.{i}", []) for i in range(3)} == {"127.0.0.1"}
    assert caller_behind("10.0.0.1", ["192.168.0.0/16"]) == "127.0.0.1"


def test_a_proxy_that_is_trusted_says_who_calls() -> None:
    assert caller_behind("10.0.0.1", ["127.0.0.1"]) == "10.0.0.1"
    assert caller_behind("6.6.6.6, 10.0.0.1", ["127.0.0.1"]) == "10.0.0.1"  # the first one is a claim
    assert caller_behind("10.0.0.1", ["172.16.0.0/12"], client="172.17.0.2") == "10.0.0.1"


def test_feedback_is_stored_with_the_caller_that_the_server_saw(
    client: TestClient, store: Store
) -> None:
    said = client.post("/v1/predict", json={"text": "my card?"}).json()["predictions"][0]
    body = {"prediction_id": said["prediction_id"], "kind": "label", "value": "a", "source": "ann"}
    assert client.post("/v1/feedback", json=body).status_code == 200
    (found,) = store.feedback.within(NOW, NOW.replace(year=2027))
    assert (found.source, found.caller) == ("ann", f"address {hash_user('testclient')}")


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 network"):
        Serving(trusted_proxies=["proxy.test"])
