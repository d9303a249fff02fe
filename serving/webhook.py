"""MLflow tells of a new champion at once; without it the server sees one at its next poll.

    EVERLOOP_WEBHOOK_SECRET=... everloop serve ...
    MlflowClient().create_webhook(name="everloop", url="https://HOST/v1/webhooks/mlflow", secret=...,
                                  events=["model_version_alias.created", "model_version_alias.deleted"])

A call only makes the server look again, so a delivery that comes twice is harmless.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

import orjson
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from core.errors import AccessError, DataError, EverloopError
from core.registry import NAME
from serving.messages import Fault
from serving.refusals import refusal

PATH = "/v1/webhooks/mlflow"
OLDEST_SECONDS = 300


def mlflow_webhook(
    refresh: Callable[[], None], secret: str, clock: Callable[[], datetime]
) -> APIRouter:
    """The route that MLflow calls. `secret` is what the webhook was made with; "" takes no calls."""
    router = APIRouter()

    @router.post(
        PATH,
        status_code=204,
        tags=["operations"],
        responses={code: {"model": Fault} for code in (401, 404, 422)},
    )
    async def hear(call: Request) -> Response:
        """An alias of the model moved in MLflow's registry: look who serves now."""
        if not secret:
            return refusal(PATH, _no_secret(), 404)
        body = await call.body()
        header = call.headers.get
        sent = (header("x-mlflow-delivery-id", ""), header("x-mlflow-timestamp", ""), body)
        if not _signed(secret, *sent, header("x-mlflow-signature", ""), clock().timestamp()):
            return refusal(PATH, _not_signed(), 401)
        try:
            ours = _is_ours(body)
        except orjson.JSONDecodeError as fault:
            return refusal(PATH, _not_json(fault))
        if ours:
            await run_in_threadpool(refresh)
        return Response(status_code=204)

    return router


def _signed(
    secret: str, delivery: str, timestamp: str, body: bytes, signature: str, now: float
) -> bool:
    """Whether MLflow, holding the secret, sent this a moment ago."""
    content = f"{delivery}.{timestamp}.".encode() + body
    made = base64.b64encode(hmac.digest(secret.encode(), content, hashlib.sha256))
    if not hmac.compare_digest(b"v1," + made, signature.encode()):
        return False
    seconds = int(timestamp) if timestamp.isdecimal() and len(timestamp) < 20 else 0
    return abs(now - seconds) <= OLDEST_SECONDS


def _is_ours(body: bytes) -> bool:
    """Whether this is news of the model that we serve. Raises JSONDecodeError for what is no JSON."""
    match orjson.loads(body):
        case {"entity": "model_version_alias", "data": {"name": name}}:
            return bool(name == NAME)
    return False


def _no_secret() -> EverloopError:
    return AccessError(
        "this server takes no webhooks",
        expected="the secret of the webhook in EVERLOOP_WEBHOOK_SECRET",
        do="set it where the server starts, and start it again",
    )


def _not_json(fault: Exception) -> EverloopError:
    return DataError("the body is not JSON", where="body", got=str(fault), expected="MLflow's JSON")


def _not_signed() -> EverloopError:
    return AccessError(
        "the signature of this delivery is not right",
        where="X-MLflow-Signature",
        expected=f"v1,HMAC-SHA256 with the secret of this server, made within {OLDEST_SECONDS} s",
        do="give MLflow's webhook the secret in EVERLOOP_WEBHOOK_SECRET; compare the clocks",
    )
