"""MLflow's registry webhooks, signed by MLflow's own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from serving.webhook import PATH, mlflow_webhook
from tests.fake_models import NOW

SECRET = "a secret of both"
AT = str(int(NOW.timestamp()))


@dataclass
class Looked:
    """Counts how often the server was told to look who serves."""

    times: int = 0
    answers: list[int] = field(default_factory=list)

    def look(self) -> None:
        self.times += 1


def client(looked: Looked, secret: str = SECRET) -> TestClient:
    app = FastAPI()
    app.include_router(mlflow_webhook(looked.look, secret, lambda: NOW))
    return TestClient(app)


def signed(body: str, timestamp: str = AT) -> dict[str, Any]:
    """Any body, signed as MLflow signs."""
    from mlflow.webhooks.delivery import _generate_hmac_signature

    signature = _generate_hmac_signature(SECRET, "d-1", timestamp, body)
    headers = {"x-mlflow-delivery-id": "d-1", "x-mlflow-timestamp": timestamp}
    return {"content": body, "headers": headers | {"x-mlflow-signature": signature}}


@pytest.mark.parametrize("body", ["xx", "", "[" * 5000, '{"entity": NaN}', '{"entity":'])
def test_a_signed_body_that_is_no_json_is_refused(body: str) -> None:
    looked = Looked()
    answer = client(looked).post(PATH, **signed(body))
    assert (answer.status_code, answer.json()["error"]) == (422, "the body is not JSON")
    assert looked.times == 0


@pytest.mark.parametrize(
    "body", ["[]", "7", "null", "{}", '{"entity": []}', '{"entity": "model_version_alias", "data": 7}']
)
def test_signed_json_of_another_shape_is_taken_and_left(body: str) -> None:
    looked = Looked()
    assert client(looked).post(PATH, **signed(body)).status_code == 204
    assert looked.times == 0


@pytest.mark.parametrize("timestamp", ["9" * 5000, "-1", "1e9", "\u0663"])
def test_a_signed_time_that_cannot_be_is_refused(timestamp: str) -> None:
    sent = signed("{}", timestamp)
    sent["headers"]["x-mlflow-timestamp"] = timestamp.encode()
    assert client(Looked()).post(PATH, **sent).status_code == 401


def delivery(
    entity: str = "model_version_alias",
    action: str = "created",
    data: dict[str, str] | None = None,
    timestamp: str = AT,
    secret: str = SECRET,
) -> dict[str, Any]:
    """Body and headers as MLflow sends them."""
    from mlflow.webhooks.constants import (
        WEBHOOK_DELIVERY_ID_HEADER,
        WEBHOOK_SIGNATURE_HEADER,
        WEBHOOK_TIMESTAMP_HEADER,
    )
    from mlflow.webhooks.delivery import _generate_hmac_signature

    data = data or {"name": "everloop", "alias": "champion", "version": "3"}
    body = json.dumps({"entity": entity, "action": action, "timestamp": "2026-01-05", "data": data})
    headers = {
        "content-type": "application/json",
        WEBHOOK_DELIVERY_ID_HEADER: "d-1",
        WEBHOOK_TIMESTAMP_HEADER: timestamp,
        WEBHOOK_SIGNATURE_HEADER: _generate_hmac_signature(secret, "d-1", timestamp, body),
    }
    return {"content": body, "headers": headers}


@pytest.mark.parametrize("action", ["created", "deleted"])
def test_an_alias_of_our_model_makes_the_server_look(action: str) -> None:
    looked = Looked()
    answer = client(looked).post(PATH, **delivery(action=action))
    assert (answer.status_code, answer.content, looked.times) == (204, b"", 1)


def test_a_delivery_that_comes_again_is_harmless() -> None:
    looked = Looked()
    door = client(looked)
    assert {door.post(PATH, **delivery()).status_code for _ in range(3)} == {204}
    assert looked.times == 3  # looking is all it does


def test_news_of_something_else_is_taken_and_left() -> None:
    looked = Looked()
    door = client(looked)
    others = [
        delivery(data={"name": "another", "alias": "champion", "version": "3"}),
        delivery(entity="model_version", data={"name": "everloop", "version": "3"}),
        delivery(entity="registered_model", data={"name": "everloop"}),
    ]
    assert {door.post(PATH, **other).status_code for other in others} == {204}
    assert looked.times == 0


def _change(name: str, value: str | bytes) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda sent: sent | {"headers": sent["headers"] | {name: value}}


@pytest.mark.parametrize(
    "forge",
    [
        lambda sent: sent | {"content": sent["content"].replace("champion", "bandit")},
        lambda sent: delivery(secret="another secret"),
        lambda sent: delivery(timestamp=str(int(AT) - 301)),
        lambda sent: delivery(timestamp=str(int(AT) + 301)),
        lambda sent: delivery(timestamp="now"),
        lambda sent: delivery(timestamp=""),
        lambda sent: sent | {"headers": {"content-type": "application/json"}},
        _change("X-MLflow-Signature", "v1,"),
        _change("X-MLflow-Signature", b"\xff\xfe"),
        _change("X-MLflow-Timestamp", str(int(AT) + 1)),
        _change("X-MLflow-Delivery-Id", "d-2"),
    ],
)
def test_what_mlflow_did_not_sign_just_now_is_refused(forge: Any) -> None:
    looked = Looked()
    answer = client(looked).post(PATH, **forge(delivery()))
    assert (answer.status_code, looked.times) == (401, 0)
    assert answer.json()["error"] == "the signature of this delivery is not right"
    assert SECRET not in answer.text


def test_without_a_secret_no_call_is_taken() -> None:
    looked = Looked()
    answer = client(looked, secret="").post(PATH, **delivery(secret=""))
    assert (answer.status_code, looked.times) == (404, 0)
    assert answer.json()["expected"] == "the secret of the webhook in EVERLOOP_WEBHOOK_SECRET"
