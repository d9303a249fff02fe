"""Everloop's own protocol.

    curl -s localhost:8000/v1/predict -H 'content-type: application/json' -d '{"text": "my card?"}'
    {"predictions": [{"prediction_id": "019b8b74-...", "request_id": "019b8b74-...",
                      "label": "card_arrival", "score": 0.91, "model_version": "3",
                      "variant": "champion"}]}

What cannot be answered is {"error", "where", "got", "expected", "do"}: 422 mend the request, 404 no
such prediction, 503 the store or the model is not there or too much is waiting, 504 not in time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi import Request as Call
from pydantic import BaseModel, TypeAdapter
from starlette.concurrency import run_in_threadpool

from core.ids import hash_user
from core.records.answers import TRUTHS, Request
from core.store import Store
from serving.feedback import Remark, check, taken
from serving.limits import caller_of
from serving.messages import Fault
from serving.messages.own import (
    Alive,
    AnswersMessage,
    FeedbackBody,
    FeedbackStored,
    Live,
    PredictBody,
    Question,
    Questions,
    Ready,
    WrittenFeedback,
    answers,
    inputs_of,
)
from serving.protocols.engine_client import (
    AROUND,
    WAIT,
    Direct,
    EngineClient,
    described,
    json,
    reference,
)
from serving.reading import JSON, media_type, read

BODIES = (Question, Questions, FeedbackBody, WrittenFeedback)
PREDICT: TypeAdapter[Question | Questions] = TypeAdapter(PredictBody)


def routes(
    client: EngineClient, store: Store, unknown: Callable[[str, datetime], str] = lambda *_: ""
) -> APIRouter:
    """`unknown` says of a label why it cannot train yet, "" where it can."""
    router, task = APIRouter(route_class=Direct, tags=["Everloop"]), store.task
    shape: type[FeedbackBody | WrittenFeedback] = FeedbackBody if task.labelled else WrittenFeedback
    feedback_of = TypeAdapter(shape)

    @router.post("/v1/predict", **_PREDICT)
    async def predict(call: Call) -> Response:
        """Classify one text or many; always answers a list, in the order of the inputs."""
        questions = inputs_of(await read(PREDICT, await json_body(call), client.most))
        now = client.clock()
        found = await client.answers([_request(q, now, client) for q in questions], call)
        return Response(answers(found), media_type=JSON)

    @router.post("/v1/feedback", **_feedback_of(shape))
    async def feedback(call: Call) -> Response:
        """Say what was right, or how good an answer is. Sending the same feedback again changes
        nothing. A label that nobody has used yet is stored and does not train: `note` says so."""
        body, now = await read(feedback_of, await json_body(call)), client.clock()
        remark = Remark(**body.model_dump())
        item = await run_in_threadpool(taken, remark, now, caller_of(call.scope), task, client)
        await run_in_threadpool(check, item, client, store)
        stored = {"feedback_id": item.feedback_id}
        names = task.labelled and item.kind in TRUTHS
        if names and (why := await run_in_threadpool(unknown, item.value, item.timestamp)):
            stored["note"] = f"stored, and does not train: {why}"
        await run_in_threadpool(store.feedback.add, [item])
        return json(stored)

    @router.get("/health", **described(Alive, {}))
    async def health(_: Call) -> Response:
        """The process is alive; says nothing of the model (see /ready)."""
        return json({"status": "alive"})

    @router.get("/ready", **described(Ready, {503: Fault}))
    async def ready(_: Call) -> Response:
        """A model is loaded and answers can be stored."""
        traffic, wrong = await client.serving()
        live = Live.model_validate(traffic.rollout, from_attributes=True) if traffic.rollout else None
        found = Ready(champion=traffic.champion.version, rollout=live, faults=list(wrong))
        return json(found.model_dump())

    return router


async def json_body(call: Call) -> bytes:
    """The body of a call. A browser may not send JSON to a server that is not its page's own: what
    is not called JSON is refused, or any page could feed a server on its reader's machine."""
    media_type(call, JSON)
    return await call.body()


def _request(question: Question, now: datetime, client: EngineClient) -> Request:
    return Request(
        request_id=question.request_id or client.new_id(now),
        timestamp=now,
        text=question.text,
        user_key=hash_user(question.user),
        segments=question.segments,
        fresh=not question.request_id,
    )


_REFUSED = dict.fromkeys((*AROUND, 415, 422, 503), Fault)
_QUESTION: dict[str, Any] = {"anyOf": [reference(Question), reference(Questions)]}
_PREDICT = described(AnswersMessage, _REFUSED | {504: Fault}, {JSON: _QUESTION}, [WAIT])


def _feedback_of(body: type[BaseModel]) -> dict[str, Any]:
    return described(FeedbackStored, _REFUSED | {404: Fault, 429: Fault}, {JSON: reference(body)})
