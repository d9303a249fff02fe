"""A server that is told to stop ends what it began, and then ends.

The first SIGTERM or SIGINT: not ready any more, no new connections, requests under way are answered,
then the engine stores what it holds, all within `serving.drain_seconds`; exit code 0. A second signal
ends it at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import FrameType
from typing import Any

import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import ModelError
from serving.access_log import log_config
from serving.engine import Engine
from serving.keys import Keyring
from serving.refusals import refusal
from serving.sampler import Sampler
from serving.settings import Serving
from serving.wire import Wire

READY = {"/ready", "/ping", "/v2/health/ready"}
KEEP_ALIVE_SECONDS = 30  # longer than most clients and proxies pool a connection for without using it
UNTOLD = float("inf")
logger = logging.getLogger(__name__)


class Ending:
    """When the server has to have ended: `UNTOLD` until it is told to stop."""

    def __init__(self) -> None:
        self.by = UNTOLD
        self.whole = True  # everything was stored


class NotReady:
    """Says at the doors that ask for it that the server is going away."""

    def __init__(self, app: ASGIApp, ending: Ending) -> None:
        self._app, self._ending = app, ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._ending.by != UNTOLD and scope["type"] == "http" and scope["path"] in READY:
            fault = ModelError("the server is shutting down", do="ask another server")
            return await refusal(scope["path"], fault)(scope, receive, send)
        return await self._app(scope, receive, send)


def lifespan(
    engine: Engine,
    keyring: Keyring,
    ending: Ending,
    settings: Serving,
    sample: Callable[[], Sampler],
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What runs beside the requests: the engine, the watch over the keys, and the samples."""

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        sampler = sample()
        watch = asyncio.create_task(keyring.watch())
        try:
            yield
        finally:
            watch.cancel()
            sampler.close()
            await _stop(engine, ending, settings.drain_seconds)

    return live


async def _stop(engine: Engine, ending: Ending, most: float) -> None:
    """Until the engine has stored what it holds, or the time is over."""
    seconds = min(most, ending.by - time.monotonic())
    try:
        async with asyncio.timeout(seconds):
            await to_thread.run_sync(engine.stop, abandon_on_cancel=True)
    except TimeoutError:
        ending.whole = False
        logger.error("the store did not take everything in time: raise serving.drain_seconds")


class Server(uvicorn.Server):
    """uvicorn, ending as above: its own way exits by the signal, and forgives every second SIGTERM."""

    def __init__(self, config: uvicorn.Config, ending: Ending, seconds: float) -> None:
        super().__init__(config)
        self._ending, self._seconds = ending, seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.should_exit:
            os._exit(128 + sig)
        self._ending.by = time.monotonic() + self._seconds
        self.should_exit = True
        last = threading.Timer(
            self._seconds + 1, os._exit, (1,)
        )  # a thread that hangs holds nothing up
        last.daemon = True
        last.start()


def run(app: FastAPI, door: socket.socket, settings: Serving, level: str) -> None:
    """Serve until told to stop. Leaves the process with exit code 1 when the log was not stored."""
    config = config_of(app, settings, level)
    ending: Ending = app.state.ending
    server = Server(config, ending, settings.drain_seconds)
    server.run(sockets=[door])
    if not ending.whole or server.lifespan.should_exit:
        os._exit(1)


def config_of(app: FastAPI, settings: Serving, level: str) -> uvicorn.Config:
    """How uvicorn runs the app."""
    half = max(1, round(settings.drain_seconds / 2))  # for the requests; the rest is for the store
    options: dict[str, Any] = {"access_log": False, "log_config": log_config(level), "ws": "none"}
    return uvicorn.Config(
        app,
        http=Wire,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=half,
        server_header=False,
        # uvicorn's default believes X-Forwarded-For of any loopback caller, and the environment's word
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        **options,
    )
