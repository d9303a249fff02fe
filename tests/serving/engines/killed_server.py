"""A server on engines behind URLs, in a process that is forked warm, to be killed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from core.models.causal.model import CausalModel
from core.store import Store
from core.tasks import Generation
from serving.app import create_app
from serving.engine import Engine
from serving.engines.chosen import choose
from serving.log import KeepAll
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.writer import Writer
from tests.flows.killing import SERVER
from tests.serving.real_server import now, wait_until


def store_in(folder: Path, busy: float = 5.0) -> Store:
    return Store(f"sqlite:///{folder / 'store.db'}", busy, task=Generation())


def serve(folder: Path, urls: list[str], models: dict[str, Path], ports: Any) -> None:
    """As `everloop serve` does, until it is killed."""
    import uvicorn

    settings = Serving(engine=urls, timeout_ms=60_000)
    chosen = choose(settings, Generation(), lambda version: CausalModel.load(models[version]))
    store, metrics = store_in(folder, 1.0), Metrics()
    writer = Writer(store, KeepAll().keep, folder / "spool", metrics)
    service = Service(store, chosen.load, max_text=1000)
    engine = Engine(service, now, metrics, settings, writer=writer, concurrency=chosen.concurrency)
    engine.poll = 0.02
    engine.start()
    with socket.create_server(("127.0.0.1", 0)) as door:
        ports.send(door.getsockname()[1])
        app = create_app(engine, store, now, settings)
        uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[door])


@dataclass(frozen=True)
class KilledServer:
    address: str
    process: Any

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@contextmanager
def serving(folder: Path, urls: list[str], models: dict[str, Path]) -> Iterator[KilledServer]:
    """A server that answers, and is killed when the block ends at the latest."""
    ports, gives = SERVER.Pipe(False)
    process = SERVER.Process(target=serve, args=(folder, urls, models, gives))
    with patch.dict(os.environ, EVERLOOP_TESTS_WARM="1", OMP_NUM_THREADS="1"):  # for the one that forks
        process.start()
    try:
        assert ports.poll(120), "it does not start"
        server = KilledServer(f"http://127.0.0.1:{ports.recv()}", process)
        wait_until(lambda: httpx.get(f"{server.address}/ready", timeout=60).status_code == 200, 120)
        yield server
    finally:
        process.kill()
        process.join()
