"""The HTTP server.

    curl -s localhost:8000/v1/predict -H 'content-type: application/json' -d '{"text": "my card?"}'
    {"predictions": [{"prediction_id": "019b8b74-...", "request_id": "019b8b74-...",
                      "label": "card_arrival", "score": 0.91, "model_version": "3",
                      "variant": "champion"}]}

What cannot be answered is {"error", "where", "got", "expected", "do"}: 422 mend the request, 404 no
such prediction, 503 the store or the model is not there. An answer that was given was stored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Response
from fastapi import Request as Call
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from core.errors import DataError, EverloopError, ModelError, StoreError
from core.records import Feedback, Request, hash_user, uuid7
from core.store import Store
from serving.engine import Engine
from serving.messages import (
    Answer,
    Answers,
    Fault,
    FeedbackBody,
    FeedbackStored,
    Live,
    PredictBody,
    Question,
    Ready,
    inputs_of,
)
from serving.settings import Serving

Clock = Callable[[], datetime]
GOT_CHARACTERS = 80
REFUSALS: dict[int | str, dict[str, Any]] = {422: {"model": Fault}, 503: {"model": Fault}}


def create_app(engine: Engine, store: Store, clock: Clock, settings: Serving) -> FastAPI:
    """The server around an engine. `clock` gives the time (UTC) at which a request came."""
    app = FastAPI(title="Everloop", description="A text classifier that is kept fresh.")
    _speak_faults(app)

    @app.post("/v1/predict", responses=REFUSALS)
    async def predict(body: PredictBody) -> Answers:
        """Classify one text or many; always answers a list, in the order of the inputs."""
        questions = inputs_of(body)
        _check_count(len(questions), settings.max_inputs)
        now = clock()
        found = await engine.predict([_request(q, now) for q in questions])
        return Answers(predictions=[Answer.model_validate(p, from_attributes=True) for p in found])

    @app.post("/v1/feedback", responses={404: {"model": Fault}, **REFUSALS})
    def feedback(body: FeedbackBody) -> FeedbackStored:
        """Say what was right. Sending the same feedback again changes nothing."""
        if store.prediction(body.prediction_id) is None:
            raise _NotFoundError(
                "no such prediction",
                where="prediction_id",
                got=body.prediction_id,
                expected="the prediction_id of an answer of POST /v1/predict",
            )
        item = _feedback(body, clock())
        store.give_feedback([item])
        return FeedbackStored(feedback_id=item.feedback_id)

    @app.get("/health")
    def health() -> dict[str, str]:
        """The process is alive; says nothing of the model (see /ready)."""
        return {"status": "alive"}

    @app.get("/ready", responses={503: {"model": Fault}})
    def ready() -> Ready:
        """A champion is loaded and the store answers."""
        traffic = engine.state().traffic
        if traffic is None:
            raise ModelError("no model is loaded yet", do="ask again in a moment")
        rollout = store.live_rollout()
        live = Live.model_validate(rollout, from_attributes=True) if rollout else None
        return Ready(champion=traffic.champion.version, rollout=live)

    return app


class _NotFoundError(DataError):
    """Something was named that is not there."""


def _request(question: Question, now: datetime) -> Request:
    return Request(
        request_id=question.request_id or uuid7(now, os.urandom(16).hex()),
        timestamp=now,
        text=question.text,
        user_key=hash_user(question.user),
        segments=question.segments,
        fresh=not question.request_id,
    )


def _feedback(body: FeedbackBody, now: datetime) -> Feedback:
    content = "\x1f".join((body.prediction_id, body.kind, body.value, body.source))
    made = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    return Feedback(
        body.feedback_id or made, body.prediction_id, now, body.kind, body.value, body.source
    )


def _check_count(inputs: int, most: int) -> None:
    if inputs > most:
        raise DataError(
            "too many inputs in one call",
            where="inputs",
            got=str(inputs),
            expected=f"at most {most}",
            do="send them in several calls, or raise serving.max_inputs in params.yaml",
        )


def _speak_faults(app: FastAPI) -> None:
    """Every fault leaves as one `Fault`, never as a traceback."""

    @app.exception_handler(EverloopError)
    def ours(_: Call, fault: EverloopError) -> Response:
        codes = {_NotFoundError: 404, DataError: 422, StoreError: 503, ModelError: 503}
        parts = {n: getattr(fault, n) for n in ("where", "got", "expected", "do")}
        return _answer(codes.get(type(fault), 500), fault.what, parts)

    @app.exception_handler(RequestValidationError)
    def shape(_: Call, fault: RequestValidationError) -> Response:
        return _answer(422, *_first_fault(fault))

    @app.exception_handler(HTTPException)
    def http(call: Call, fault: HTTPException) -> Response:
        if isinstance(fault.__cause__, UnicodeDecodeError):
            parts = {"where": "body", "got": str(fault.__cause__), "expected": "JSON in UTF-8"}
            return _answer(422, "the body is not UTF-8", parts)
        where = {"where": f"{call.method} {call.url.path}"}
        return _answer(fault.status_code, str(fault.detail), where)


def _answer(status: int, what: str, parts: dict[str, str]) -> JSONResponse:
    theirs = {name: _cut(parts.get(name, "")) for name in ("where", "got")}
    return JSONResponse(Fault(error=what, **parts | theirs).model_dump(), status)


def _cut(text: str) -> str:
    """What a caller sent, short and in letters that any answer can carry."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= GOT_CHARACTERS else plain[: GOT_CHARACTERS - 3] + "..."


def _first_fault(fault: RequestValidationError) -> tuple[str, dict[str, str]]:
    """The first of pydantic's faults, in our words."""
    error = fault.errors()[0]
    path = [p for p in error["loc"][1:] if p not in ("one text", "many texts")]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "body"
    parts = {"where": where, "got": ascii(error["input"]), "do": "see /docs for the shape of this call"}
    kind, message = error["type"], str(error["msg"])
    if kind in ("model_type", "model_attributes_type"):
        return "this value cannot be taken", parts | {
            "expected": 'an object such as {"text": "my card?"}'
        }
    if kind == "missing":
        return "a field is missing", parts | {"got": "nothing", "expected": f"a value for {where}"}
    if kind == "extra_forbidden":
        return "unknown field", parts | {"expected": "only the fields named in /docs"}
    if kind == "json_invalid":
        reason = str(error.get("ctx", {}).get("error", message))
        return "the body is not JSON", parts | {"where": "body", "got": reason, "expected": "JSON"}
    if kind == "value_error":
        return "this value cannot be taken", parts | {"expected": message.removeprefix("Value error, ")}
    return "this value cannot be taken", parts | {"expected": message.removeprefix("Input should be ")}
