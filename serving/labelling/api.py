"""The calls of the labelling page.

    curl -s 'localhost:8000/v1/label/next?annotator=ann&n=1'
    {"annotator": "ann", "tasks": [{"prediction_id": "019b8b74-...", "text": "my card?", ...}]}

    curl -s localhost:8000/v1/label/votes -H 'content-type: application/json' \\
         -d '{"prediction_id": "019b8b74-...", "annotator": "ann", "label": "card_arrival"}'
    {"prediction_id": "019b8b74-...", "state": "done"}

A vote is answered after it is committed, and sending it again changes nothing. Asking for the next
tasks again gives the same ones and renews their leases.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any

from fastapi import APIRouter, Response
from fastapi import Request as Call
from pydantic import BaseModel, TypeAdapter
from starlette.concurrency import run_in_threadpool

from core.errors import DataError
from core.times import utc
from serving.labelling.annotation_queue import AnnotationQueue
from serving.labelling.callers import annotator_of, key_of
from serving.labelling.messages import (
    ID,
    AnswerBody,
    Checked,
    NearOnes,
    ProgressShown,
    Setup,
    Tasks,
    Unvoted,
    VoteBody,
    Voted,
    WrittenVoteBody,
)
from serving.limits import Rate, source_of
from serving.messages import Fault
from serving.protocols.engine_client import AROUND, Direct, described, parameter, reference
from serving.protocols.faults import TooManyError
from serving.protocols.own import json_body
from serving.reading import JSON, read

BODIES = (VoteBody, WrittenVoteBody, AnswerBody)
ANSWER = TypeAdapter(AnswerBody)
MOST = 10  # tasks that one call leases at most
VOTES_PER_MINUTE = 120  # a person and a full outbox; not a script that labels everything


def routes(queue: AnnotationQueue, clock: Callable[[], datetime]) -> APIRouter:
    router, rate = APIRouter(route_class=Direct, tags=["Labelling"]), Rate(VOTES_PER_MINUTE)
    shape: type[VoteBody | WrittenVoteBody] = VoteBody if queue.task.labelled else WrittenVoteBody
    vote_of = TypeAdapter(shape)

    @router.get("/v1/label/setup", **described(Setup, _REFUSED))
    async def setup(call: Call) -> Response:
        """The labels there are, the guideline, and who you are."""
        return _json(await run_in_threadpool(queue.setup, key_of(call), clock()))

    @router.get("/v1/label/next", **described(Tasks, _REFUSED, parameters=[_WHO, _N]))
    async def following(call: Call) -> Response:
        """Up to `n` tasks that are yours for a time. Prompted again: the same ones, for longer."""
        who = annotator_of(call, call.query_params.get("annotator", ""))
        now = clock()
        tasks = await run_in_threadpool(queue.next, who, _count(call), now)
        return _json(Tasks(annotator=who, tasks=tasks, label_set=queue.version(now)))

    @router.post("/v1/label/votes", **_vote_of(shape))
    async def vote(call: Call) -> Response:
        """Give a task a label, or skip it with null. Committed when it is answered."""
        body = await read(vote_of, await json_body(call))
        who = annotator_of(call, body.annotator)
        if wait := rate.take(source_of(call.scope), monotonic()):
            raise TooManyError("too many votes from one source", retry_seconds=wait)
        state = await run_in_threadpool(queue.vote, body, who, clock())
        return _json(Voted(prediction_id=body.prediction_id, state=state))

    @router.post("/v1/label/check", **_CHECK)
    async def check(call: Call) -> Response:
        """Why an answer cannot be taken, while somebody types it."""
        body = await read(ANSWER, await json_body(call))
        return _json(Checked(fault=await run_in_threadpool(queue.fault, body.answer)))

    @router.delete("/v1/label/votes/{prediction_id}", **_UNVOTE)
    async def unvote(call: Call) -> Response:
        """Take your vote back. What you never said is harmless."""
        who = annotator_of(call, call.query_params.get("annotator", ""))
        prediction_id = call.path_params["prediction_id"]
        await run_in_threadpool(queue.unvote, prediction_id, who, clock())
        return _json(Unvoted(prediction_id=prediction_id))

    @router.get("/v1/label/progress", **described(ProgressShown, _REFUSED, parameters=[_WHO, _SINCE]))
    async def progress(call: Call) -> Response:
        """What you did since a time, the day's begin (UTC) unless you say another, and what is left."""
        who = annotator_of(call, call.query_params.get("annotator", ""))
        now = clock()
        return _json(await run_in_threadpool(queue.progress, who, _since(call, now), now))

    @router.get("/v1/label/similar/{prediction_id}", **_SIMILAR)
    async def similar(call: Call) -> Response:
        """The labelled texts most like this one."""
        found = await run_in_threadpool(queue.similar, call.path_params["prediction_id"], clock())
        return _json(NearOnes(similar=found))

    return router


def _json(content: BaseModel) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(content.model_dump_json(), headers=headers, media_type=JSON)


def _count(call: Call) -> int:
    """How many tasks are asked for. Raises DataError for what is no such number."""
    asked = call.query_params.get("n", "1")
    if asked.isascii() and asked.isdigit() and 1 <= int(asked[:3]) <= MOST and len(asked) <= 2:
        return int(asked)
    raise DataError("this is no number of tasks", where="n", got=ascii(asked), expected=f"1 to {MOST}")


def _since(call: Call, now: datetime) -> datetime:
    """Raises DataError for what is no time."""
    asked = call.query_params.get("since")
    if asked is None:
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return utc(datetime.fromisoformat(asked))
    except (ValueError, OverflowError):
        expected = "a time such as 2026-01-05T00:00:00Z"
        raise DataError("this is no time", where="since", got=ascii(asked), expected=expected) from None


_REFUSED = dict.fromkeys((*AROUND, 422, 503), Fault)
_WHO = parameter("query", "annotator", {"type": "string"}, "ann")
_N = parameter("query", "n", {"type": "integer", "minimum": 1, "maximum": MOST}, 2)
_SINCE = parameter("query", "since", {"type": "string", "format": "date-time"}, "2026-01-05T00:00:00Z")
_ID = parameter("path", "prediction_id", {"type": "string"}, ID)
_VOTE_FAULTS = _REFUSED | {409: Fault, 415: Fault, 429: Fault}
_CHECK: dict[str, Any] = described(Checked, _REFUSED | {415: Fault}, {JSON: reference(AnswerBody)})
_UNVOTE: dict[str, Any] = described(Unvoted, _REFUSED | {409: Fault}, parameters=[_ID, _WHO])
_SIMILAR: dict[str, Any] = described(NearOnes, _REFUSED | {404: Fault}, parameters=[_ID])


def _vote_of(body: type[BaseModel]) -> dict[str, Any]:
    return described(Voted, _VOTE_FAULTS, {JSON: reference(body)})
