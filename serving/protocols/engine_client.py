"""What every protocol does with a call: read it, put its texts to the engine, describe itself.

A route here is a plain `async` function from a call to a response. FastAPI still routes to it and
describes it; what is left out is its generic reading and checking, half the cost of a call.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from fastapi import Request as Call
from fastapi import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from core.errors import DataError, EverloopError, ModelError
from core.ids import hash_user, uuid7
from core.records.answers import Prediction, Request
from serving.engine import Engine
from serving.protocols.faults import hidden, too_many
from serving.refusals import refusal
from serving.settings import Serving
from serving.traffic import Traffic

Clock = Callable[[], datetime]
TIMEOUT = "X-Timeout-Ms"
LONGEST = 86_400.0  # seconds


class EngineClient:
    """The way to one engine. `clock` gives the time (UTC) at which a request came."""

    def __init__(self, engine: Engine, clock: Clock, settings: Serving) -> None:
        self._engine, self._settings = engine, settings
        self.clock, self.most = clock, settings.max_inputs
        self._secret, self._made = os.urandom(16).hex(), itertools.count()

    async def answers(
        self, requests: Sequence[Request], call: Call, timeout_ms: float | None = None
    ) -> list[Prediction]:
        """The stored answers, in order. Raises as `Engine.predict`."""
        seconds = self.patience(call, timeout_ms)
        return await self._engine.predict(requests, deadline=time.monotonic() + seconds)

    async def written(self, requests: Sequence[Request]) -> list[Prediction]:
        """The same, for one who hears them being written, and says himself how long he waits."""
        return await self._engine.predict(requests, deadline=time.monotonic() + LONGEST)

    def patience(self, call: Call, timeout_ms: float | None = None) -> float:
        """Seconds that a caller waits."""
        asked = _timeout(call.headers.get(TIMEOUT)) if timeout_ms is None else timeout_ms
        return min(asked, self._settings.timeout_ms) / 1000

    def requests(
        self,
        texts: Sequence[str],
        user: str = "",
        segments: dict[str, str] | None = None,
        version: str = "",
    ) -> list[Request]:
        """Texts of one caller, asked now for the first time, of one version if he names it.

        Raises DataError for too many: each would cost an id before anybody counts them.
        """
        if len(texts) > self.most:
            raise too_many(len(texts), self.most)
        now, user_key, more = self.clock(), hash_user(user), segments or {}
        return [Request(self.new_id(now), now, t, user_key, more, True, version) for t in texts]

    def new_id(self, now: datetime) -> str:
        """An id nobody can guess. The system is asked for randomness once: each time lets go of the
        interpreter, and to get that back from a busy worker costs more than the rest of a request."""
        return uuid7(now, self._secret, str(next(self._made)))

    def knows(self, prediction_id: str) -> bool:
        """As `Engine.knows`."""
        return self._engine.knows(prediction_id)

    def storable(self, text: str) -> str:
        """As `Engine.storable`."""
        return self._engine.storable(text)

    async def serving(self) -> tuple[Traffic, tuple[str, ...]]:
        """Who serves now, and what is wrong although they do. Raises ModelError when nothing does."""
        state = await run_in_threadpool(self._engine.state)
        if state.ready and state.traffic is not None:
            return state.traffic, tuple(map(hidden, state.faults))
        what = "the server is not ready" if state.traffic else "no model is loaded yet"
        raise ModelError(what, got="; ".join(state.faults), do="ask again in a moment")


def _timeout(asked: str | None) -> float:
    """Milliseconds; no limit where none is named. Raises DataError for what is not a time."""
    if asked is None:
        return math.inf
    try:
        found = float(asked)
    except ValueError:
        found = math.nan
    if found > 0:
        return found
    raise DataError(
        "this header cannot be read",
        where=TIMEOUT,
        got=ascii(asked),
        expected="milliseconds, a number above 0",
    )


class Direct(APIRoute):
    """A route whose function takes the call and makes the response.

    FastAPI's `Depends` does not reach it: what must come first is middleware.
    """

    def get_route_handler(self) -> Callable[[Call], Coroutine[Any, Any, Response]]:
        async def handler(call: Call) -> Response:
            try:
                response: Response = await self.endpoint(call)
            except EverloopError as fault:
                return refusal(call.scope["path"], fault)
            return response

        return handler


def json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")


def described(
    gives: type[BaseModel] | None,
    faults: Mapping[int, type[BaseModel]],
    asks: Mapping[str, dict[str, Any]] | None = None,
    parameters: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """What /docs says of a route, as keywords of `router.get` and `router.post`.

    `asks` maps a content type to the schema of such a body, often a `reference`.
    """
    responses: dict[int | str, dict[str, Any]] = {code: {"model": m} for code, m in faults.items()}
    if gives:
        responses[200] = {"model": gives}
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if asks:
        content = {kind: {"schema": schema} for kind, schema in asks.items()}
        extra["requestBody"] = {"required": True, "content": content}
    return {"responses": responses, "openapi_extra": extra}


def reference(model: type[BaseModel]) -> dict[str, Any]:
    """A schema by its name; the app puts every model of a body into the document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def parameter(place: str, name: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    """One parameter for `described`; `place` is path or header."""
    required = place == "path"
    return {"name": name, "in": place, "required": required, "schema": schema, "example": example}


AROUND = (401, 403, 408, 413)  # what keys and limits answer before a route is asked
WAIT = parameter("header", TIMEOUT, {"type": "number", "exclusiveMinimum": 0}, 500)
