"""Who may ask the server: API keys, made by hand and checked on every call."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.errors import AccessError, StoreError
from core.store import Store
from everloop.init import init
from serving.app import create_app
from serving.engine import Engine
from serving.keys import Keyring, check_exposure
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.command_line import everloop, refused
from tests.fake_models import NOW

EVERY = {
    ("POST", "/v1/predict"): "predict",
    ("POST", "/v1/feedback"): "feedback",
    ("POST", "/invocations"): "predict",
    ("GET", "/v2"): "predict",
    ("GET", "/v2/models/everloop"): "predict",
    ("POST", "/v2/models/everloop/versions/1/infer"): "predict",
    ("POST", "/endpoints/everloop/invocations"): "predict",
    ("GET", "/api/2.0/endpoints/everloop"): "predict",
    ("GET", "/v1/label/setup"): "label",
    ("GET", "/v1/label/next"): "label",
    ("POST", "/v1/label/votes"): "label",
    ("DELETE", "/v1/label/votes/1"): "label",
    ("GET", "/metrics"): "admin",
    ("POST", "/v2/repository/models/everloop/load"): "admin",
    ("GET", "/nowhere"): "admin",
}
OPEN = [
    "/label",
    "/label/app.js",
    "/health",
    "/ping",
    "/ready",
    "/version",
    "/v2/health/live",
    "/v2/health/ready",
    "/docs",
]


@pytest.fixture
def client(store: Store, service: Service) -> TestClient:
    return TestClient(
        create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving()),
        base_url="http://localhost",
        raise_server_exceptions=False,
    )


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def locked(store: Store, service: Service, *scopes: str) -> tuple[TestClient, str]:
    token = store.keys.add("shop", scopes, NOW)
    app = create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())
    return TestClient(app, base_url="http://localhost"), token


def test_the_store_keeps_a_hash_of_256_bits_and_no_token(store: Store) -> None:
    tokens = {store.keys.add(f"k{i}", ["predict"], NOW) for i in range(5)}
    assert len(tokens) == 5
    assert {len(t.removeprefix("everloop_")) for t in tokens} == {43}
    assert {k.hash for k in store.keys.all()} == {
        hashlib.sha256(t.encode()).hexdigest() for t in tokens
    }
    raw = Path(store.url.removeprefix("sqlite:///")).read_bytes()
    assert not any(t.encode() in raw for t in tokens)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "é", "a\n"])
def test_a_name_goes_into_log_lines_so_it_is_plain(store: Store, name: str) -> None:
    with pytest.raises(AccessError, match="cannot be the name of a key"):
        store.keys.add(name, ["predict"], NOW)


def test_a_key_is_revoked_once(store: Store) -> None:
    store.keys.add("shop", ["predict"], NOW)
    store.keys.revoke("shop", NOW)
    store.keys.revoke("shop", NOW + timedelta(days=1))
    assert [k.revoked for k in store.keys.all()] == [NOW]
    with pytest.raises(AccessError, match="a key of this name already"):
        store.keys.add("shop", ["admin"], NOW)


def test_without_any_key_the_server_is_open(client: TestClient) -> None:
    assert client.post("/v1/predict", json={"text": "a"}).status_code == 200
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("call", EVERY, ids=" ".join)
@pytest.mark.parametrize("scope", ["predict", "feedback", "label", "admin"])
def test_each_scope_opens_its_own_calls_only(
    store: Store, service: Service, call: tuple[str, str], scope: str
) -> None:
    client, token = locked(store, service, scope)
    assert client.request(*call).status_code == 401
    found = client.request(*call, headers=bearer(token)).status_code
    assert (found == 403) == (scope != EVERY[call])


def test_who_watches_a_server_needs_no_key(store: Store, service: Service) -> None:
    client, _ = locked(store, service, "predict")
    assert {client.get(path).status_code for path in OPEN} <= {200, 404}


def test_what_is_said_to_a_caller_without_the_right_key(store: Store, service: Service) -> None:
    client, token = locked(store, service, "feedback")
    answer = client.post("/v1/predict", json={"text": "a"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="everloop"')
    assert answer.json() == {
        "error": "this call needs an API key",
        "where": "",
        "got": "",
        "expected": "Authorization: Bearer TOKEN, of a key that is not revoked",
        "do": "everloop keys add NAME --scope predict",
    }
    answer = client.post("/v1/predict", json={"text": "a"}, headers=bearer(token))
    assert answer.status_code == 403
    assert answer.json()["got"] == "key shop, which may feedback"
    assert 'error="insufficient_scope", scope="predict"' in answer.headers["www-authenticate"]
    assert store.answers.count() == 0


def test_each_protocol_hears_it_in_its_own_shape(store: Store, service: Service) -> None:
    client, _ = locked(store, service, "feedback")
    assert client.get("/v2/models/everloop").json()["error"].startswith("this call needs an API key")
    mlflow = client.post("/invocations", json={}).json()
    assert (mlflow["error_code"], mlflow["message"][:26]) == (
        "UNAUTHENTICATED",
        "this call needs an API key",
    )


@pytest.mark.parametrize("header", ["{}", "Basic {}", "Bearer", "Bearer {}x", "Token {}"])
def test_there_is_one_way_to_show_a_key(store: Store, service: Service, header: str) -> None:
    client, token = locked(store, service, "predict")
    headers = {"authorization": header.format(token)}
    assert client.post("/v1/predict", json={"text": "a"}, headers=headers).status_code == 401
    answer = client.post(f"/v1/predict?token={token}", json={"text": "a"})
    assert answer.status_code == 401


def test_revoking_the_last_key_opens_nothing(store: Store) -> None:
    token = store.keys.add("shop", ["predict"], NOW)
    ring = Keyring(store.keys.all)
    assert ring.holder(token)
    store.keys.revoke("shop", NOW)
    ring.refresh()
    assert (ring.holder(token), ring.needed) == (None, True)
    assert Keyring(store.keys.all).needed


def test_a_store_that_is_down_keeps_the_last_known_keys(store: Store) -> None:
    token = store.keys.add("shop", ["predict"], NOW)
    up = True

    def read() -> Any:
        if up:
            return store.keys.all()
        raise StoreError("the store cannot be used")

    ring = Keyring(read)
    up = False
    ring.refresh()
    assert ring.holder(token)
    assert ring.needed


def test_a_running_server_hears_of_new_and_revoked_keys(store: Store, service: Service) -> None:
    app = create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())

    def asked_until(client: TestClient, code: int, token: str) -> bool:
        tries = (client.post("/v1/predict", json={}, headers=bearer(token)) for _ in range(5000))
        return any(answer.status_code == code for answer in tries)

    with TestClient(app, base_url="http://localhost") as client:
        assert client.post("/v1/predict", json={}).status_code == 422
        token = store.keys.add("shop", ["predict"], NOW)
        assert asked_until(client, 401, "nobody's")
        assert asked_until(client, 422, token)
        store.keys.revoke("shop", NOW)
        assert asked_until(client, 401, token)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1"])
def test_on_loopback_a_server_may_do_without(host: str) -> None:
    check_exposure(host, [])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "fe80::1%eth0"])
def test_beyond_loopback_a_server_needs_a_key(store: Store, host: str) -> None:
    with pytest.raises(AccessError, match="open to other machines") as fault:
        check_exposure(host, store.keys.all())
    assert (fault.value.where, fault.value.got) == (host, "no key")
    store.keys.add("shop", ["predict"], NOW)
    check_exposure(host, store.keys.all())
    store.keys.revoke("shop", NOW)
    with pytest.raises(AccessError, match="only revoked keys"):
        check_exposure(host, store.keys.all())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return init(tmp_path_factory.mktemp("keys") / "shop").root


def test_serve_does_not_open_a_door_without_a_key(shop: Path) -> None:
    assert refused("serve", "-w", shop, "--host", "0.0.0.0", "--port", "0") == (
        "error: a server open to other machines needs an API key\n"
        "  where:    0.0.0.0\n"
        "  got:      no key\n"
        "  expected: a key for each of those who may ask, or an address of loopback\n"
        "  do:       everloop keys add NAME --scope predict --scope feedback\n"
    )


def test_keys_by_hand(shop: Path) -> None:
    assert everloop("keys", "list", "-w", shop).out == (
        "no keys: whoever reaches the server may use it, and it listens on loopback only\n"
        "the first: everloop keys add NAME --scope predict --scope feedback\n"
    )
    when = ("--now", "2026-01-05T09:00", "-w", shop)
    made = everloop("keys", "add", "shop", "--scope", "feedback", "--scope", "predict", *when)
    assert made.out.startswith("everloop_")
    assert made.out.count("\n") == 1
    assert made.err == (
        "key shop may predict, feedback. Its token, shown this once:\n"
        "send it as: Authorization: Bearer TOKEN\n"
    )
    everloop("keys", "add", "grafana", "--scope", "admin", *when)
    ended = everloop("keys", "revoke", "grafana", "--now", "2026-01-06T09:00", "-w", shop)
    assert ended.out == "key grafana is revoked; servers refuse it within 0.5 s\n"
    assert everloop("keys", "list", "-w", shop).out == (
        "name     scopes             created (UTC)     revoked (UTC)\n"
        "grafana  admin              2026-01-05 09:00  2026-01-06 09:00\n"
        "shop     predict, feedback  2026-01-05 09:00\n"
    )
    assert refused("keys", "revoke", "nobody", "-w", shop) == (
        "error: there is no key of this name\n"
        "  got:      'nobody'\n"
        "  expected: one of grafana, shop\n"
        "  do:       everloop keys list\n"
    )
    assert refused("keys", "add", "shop", "--scope", "admin", "-w", shop) == (
        "error: there is a key of this name already\n"
        "  got:      shop\n"
        "  expected: a name of its own for each key, revoked ones too\n"
        "  do:       everloop keys list\n"
    )
