"""A server on a real socket, for clients that are not ours."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import uvicorn

from core.store import Store
from serving.app import create_app
from serving.engine import Concurrency, Engine
from serving.labelling.annotation_queue import Labelling
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.wire import Wire


def now() -> datetime:
    return datetime.now(UTC)


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def running(
    service: Service,
    store: Store,
    metrics: Metrics | None = None,
    labelling: Labelling = Labelling(),  # noqa: B008  # it is frozen
    concurrency: Concurrency | None = None,
    poll: float | None = None,
) -> Iterator[str]:
    """The address of a server that answers until the block ends. Who serves is looked up with every
    answer, or each `poll` seconds beside them."""
    settings = Serving(max_inputs=100)
    engine = Engine(service, now, metrics or Metrics(), settings, concurrency=concurrency)
    if poll is not None:
        engine.poll = poll
        engine.start()
    app = create_app(engine, store, now, settings, labelling)
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = uvicorn.Server(
            uvicorn.Config(app, http=Wire, ws="none", log_level="warning", lifespan="off")
        )
        thread = threading.Thread(target=server.run, args=([door],))
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
            engine.stop()
