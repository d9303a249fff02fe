"""Texts that wait for a label, and a server with the labelling page.

As a program it is such a server in a process of its own, to be killed: python -m tests.serving.labelling.label_queue FILE PORT.
It prints its port.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from core.ids import bucket
from core.records.answers import Prediction, Request
from core.records.labels import AnnotationTask
from core.state import Champion
from core.store import Store
from pipelines.curation.margin import Margin
from pipelines.curation.pool import Pool
from serving.app import create_app
from serving.engine import Engine
from serving.labelling.annotation_queue import BLIND, Labelling
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.shutdown import run
from tests import ROOT
from tests.fake_models import HashEncoder, LinearHead, Shelf, model

MANY = [
    f"{verb}_{thing}"
    for verb in ("ask", "cancel", "change", "find", "pay")
    for thing in ("bill", "card", "flight", "hotel")
]
ASKED = datetime(2026, 1, 5, 9, tzinfo=UTC)


def shelf(labels: Sequence[str] = MANY) -> Shelf:
    found = Shelf()
    found.models["1"] = model(HashEncoder(), LinearHead(list(labels), seed=1))
    return found


def ask(
    store: Store, texts: Sequence[str], labels: Sequence[str] = MANY, first: int = 0
) -> list[Prediction]:
    """These texts, answered by version 1; the store's own rows, in order."""
    store.state.write(Champion("1"))
    service = Service(store, shelf(labels).load, max_text=10_000)
    return service.predict(
        [
            Request(f"q{i}", ASKED + timedelta(minutes=i), t, "", {"channel": "chat"})
            for i, t in enumerate(texts, first)
        ]
    )


def pick(store: Store, rows: Sequence[Prediction], audit: bool = False) -> list[str]:
    """Make tasks of all these answers, as a curation round does; their ids."""
    tasks = drawn(store, rows, len(rows), float(audit))
    assert {t.prediction_id for t in tasks} == {p.prediction_id for p in rows}
    return [p.prediction_id for p in rows]


def drawn(
    store: Store, rows: Sequence[Prediction], size: int, audit_share: float
) -> list[AnnotationTask]:
    """What a curation round picks of these answers; they are tasks now."""
    when, ids = ASKED + timedelta(days=1), [p.prediction_id for p in rows]
    window = store.answers.window(ASKED - timedelta(days=1), when)
    wanted = window.rows["prediction_id"].isin(ids).to_numpy(dtype=bool)
    policy = Margin(policy="margin", labels_per_day=size, audit_share=audit_share)
    tasks = policy.pick(Pool(window.take(wanted)), size, "2026-01-06", when)
    store.queue.add(tasks)
    return tasks


def texts_of(n: int) -> list[str]:
    return [f"where is my card number {i}" for i in range(n)]


def sighted(rows: Sequence[Prediction]) -> list[Prediction]:
    """Those whose guess is not hidden."""
    return [p for p in rows if bucket(p.prediction_id, salt="blind") >= BLIND]


class Killable:
    """A server of `store` in a process of its own, always at one port."""

    def __init__(self, store: Store) -> None:
        self._file, self._port = store.url.removeprefix("sqlite:///"), "0"
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.serving.labelling.label_queue", self._file, self._port]
        root = ROOT
        self._process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def main(file: str, port: str) -> None:
    store = Store(f"sqlite:///{file}", busy=1.0)
    service = Service(store, shelf().load, max_text=10_000)
    settings, clock = Serving(), lambda: datetime.now(UTC)
    engine = Engine(service, clock, Metrics())
    with socket.create_server(("127.0.0.1", int(port))) as door:
        sys.stdout.write(f"{door.getsockname()[1]}\n")
        sys.stdout.flush()
        run(create_app(engine, store, clock, settings, Labelling()), door, settings, "error")


if __name__ == "__main__":
    main(*sys.argv[1:])
