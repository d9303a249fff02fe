"""A server of small models in a process of its own, to be told to stop: python -m tests.serving.held_server.

Arguments: the store's file, how the engine stops (well | never), drain_seconds. It prints its port, and "reading" when the
model has the text "hold", which it keeps until a line comes on stdin.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from core.arrays import Array
from core.state import Champion
from core.store import Store
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.shutdown import run
from tests.fake_models import HashEncoder, Shelf


class HoldingEncoder(HashEncoder):
    def encode(self, texts: Sequence[str]) -> Array:
        if "hold" in texts:
            sys.stdout.write("reading\n")
            sys.stdout.flush()
            sys.stdin.readline()
        return super().encode(texts)


class StuckEngine(Engine):
    def stop(self) -> None:
        threading.Event().wait()


def main(file: str, stops: str, drain_seconds: str) -> None:
    store = Store(f"sqlite:///{file}")
    store.state.write(Champion("1"))
    service = Service(store, Shelf(HoldingEncoder()).load, max_text=100)
    settings = Serving(drain_seconds=float(drain_seconds))
    clock = lambda: datetime.now(UTC)  # noqa: E731
    engine = (StuckEngine if stops == "never" else Engine)(service, clock, Metrics())
    with socket.create_server(("127.0.0.1", 0)) as door:
        sys.stdout.write(f"{door.getsockname()[1]}\n")
        sys.stdout.flush()
        run(create_app(engine, store, clock, settings), door, settings, "info")


if __name__ == "__main__":
    main(*sys.argv[1:])
