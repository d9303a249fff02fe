"""One JSON line a request on stderr, and the numbers of it for /metrics.

    {"time":"2026-01-05T09:00:00.123456+00:00","level":"info","event":"request","request_id":"5f0c...",
     "method":"POST","route":"/v1/predict","status":200,"ms":7.1,"key":"shop","client":"10.0.0.7"}

A request keeps the X-Request-Id it came with, or gets one; the answer carries it. When the server
itself fails, the caller gets that id and the log the traceback. Texts, query strings and tokens are
never logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import EverloopError, ModelError
from serving.keys import OPEN, SCOPES
from serving.metrics import Metrics
from serving.refusals import refusal

SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
LEFT = 499  # the caller went away before there was an answer
logger = logging.getLogger(__name__)


class AccessLog:
    """The outermost layer of the server: whatever happens inside, one answer and one line come out."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._ids = random.Random(os.urandom(16))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start, status = time.perf_counter(), 0
        request_id = self._request_id(scope)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except (Exception, asyncio.CancelledError) as fault:
            response = _failed(fault, scope, request_id.decode())
            if status:  # too late to say it: the connection ends in the middle of the answer
                raise
            await response(scope, receive, answer)
        finally:
            self._note(scope, status or LEFT, time.perf_counter() - start, request_id.decode())

    def _request_id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and SANE.fullmatch(value):
                return bytes(value)
        return b"%016x" % self._ids.getrandbits(64)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = _route(scope)
        self._metrics.request(route, status, seconds)
        level = logging.ERROR if status >= 500 else logging.INFO
        if logger.isEnabledFor(level):
            state = scope.get("state", {})
            fields = {
                "request_id": request_id,
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 3),
                "key": state.get("key", ""),
                "client": scope["client"][0] if scope.get("client") else "",
            }
            if "trace_id" in state:
                fields["trace_id"] = state["trace_id"]
            _write(level, "request", fields)


def _route(scope: Scope) -> str:
    """The template of the path that was asked, never the path itself: a scan of the server would make
    a time series of each."""
    if route := scope.get("route"):
        return str(route.path)
    path: str = scope["path"]  # refused before it was routed, or one of the pages about the server
    return path if path in SCOPES or path in OPEN else "other"


def _failed(fault: BaseException, scope: Scope, request_id: str) -> ASGIApp:
    """What the caller hears of a failure; the rest is for the log."""
    if isinstance(fault, asyncio.CancelledError):
        return refusal(scope["path"], ModelError("the server is shutting down", do="ask again"))
    fields = {"request_id": request_id, "method": scope["method"], "route": _route(scope)}
    trace = "".join(traceback.format_exception(fault))
    _write(logging.ERROR, "the server failed", fields | {"traceback": trace})
    said = EverloopError(
        "the server failed",
        where=f"request {request_id}",
        do="ask again; the server's log has the reason under this request id",
    )
    return refusal(scope["path"], said)


def _write(level: int, event: str, fields: dict[str, Any]) -> None:
    """One line, at a quarter of what a record through `logging` costs every request."""
    name = logging.getLevelName(level).lower()
    line = {"time": datetime.now(UTC), "level": name, "event": event, **fields}
    sys.stderr.write(orjson.dumps(line, default=str).decode() + "\n")


class JsonLines(logging.Formatter):
    """What others say through `logging`, in the same shape."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def log_config(level: str) -> dict[str, Any]:
    """Everything the server's process says, uvicorn's words and warnings too, as JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "serving": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
        },
    }
