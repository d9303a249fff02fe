"""What a server says of itself reaches the store and the signals, and never gets in the way of an answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from core.records.signals import SystemSample
from core.state import Champion
from core.store import Store
from everloop.laws.traffic import LABELS, before, today
from monitoring import Monitoring
from monitoring.signals import system
from monitoring.view import ServedModel, View
from serving.metrics import Metrics
from serving.sampler import Sampler
from serving.service import Service
from tests.fake_models import NOW, Shelf
from tests.serving.real_server import now, running, wait_until

LONG = timedelta(days=365)
SOON = 0.05  # seconds between samples


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db", busy=0.5)
    made.state.write(Champion("1"))
    yield made
    made.close()


def samples(store: Store) -> list[SystemSample]:
    return store.signals.system(now() - LONG, now() + LONG)


def counted(store: Store) -> tuple[int, int]:
    return sum(s.requests for s in samples(store)), sum(s.errors for s in samples(store))


def ask(url: str, text: str) -> int:
    return httpx.post(f"{url}/v1/predict", json={"text": text}).status_code


def fail(texts: object) -> object:
    raise MemoryError("no room for this batch")


def test_a_server_counts_its_requests_and_errors_and_its_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, metrics = Shelf(), Metrics()
    with (
        running(Service(store, shelf.load, max_text=100), store, metrics) as url,
        closing(Sampler(store, metrics, now, SOON)),
    ):
        assert [ask(url, "my card"), ask(url, "")] == [200, 422]
        told = [httpx.get(url + path).status_code for path in ("/ping", "/metrics", "/none")]
        assert told == [200, 200, 404]  # none of them is work
        monkeypatch.setattr(shelf.encoder, "encode", fail)
        assert ask(url, "where is it") >= 500
        wait_until(lambda: counted(store) == (3, 1))
    assert len({s.source for s in samples(store)}) == 1
    assert 10**7 < samples(store)[0].memory < 10**11


def test_a_locked_store_costs_a_sample_and_no_count(store: Store) -> None:
    metrics = Metrics()
    with closing(Sampler(store, metrics, now, SOON)) as sampler:
        _lock_and_count(store, metrics, sampler)
    assert max(s.queue for s in samples(store)) == 7


def _lock_and_count(store: Store, metrics: Metrics, sampler: Sampler) -> None:
    wait_until(lambda: len(samples(store)) > 0)
    other = sqlite3.connect(store.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    before_it = len(samples(store))
    metrics.request("/v1/predict", 503, 0.1)
    metrics.queue.set(7)
    wait_until(lambda: sampler._queue == 7)
    metrics.queue.set(0)
    assert len(samples(store)) == before_it
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: counted(store) == (1, 1))


def test_samples_older_than_five_weeks_go(store: Store) -> None:
    for days in (0, 30, 36):
        store.signals.put_system(SystemSample("host:1", NOW + timedelta(days=days), 1, 0, 0, 1))
    assert [s.timestamp for s in samples(store)] == [NOW + timedelta(days=d) for d in (30, 36)]


def test_signals_of_two_servers() -> None:
    told = [
        SystemSample("a:1", NOW, 300, 3, 5, 2**30),
        SystemSample("b:1", NOW, 100, 1, 9, 2**31, gpu=2**29),
    ]
    model = ServedModel("1", LABELS, frozenset(LABELS))
    view = View(today(), before(), model, Monitoring(), system=told)
    found = {s.name: (s.value, s.note) for s in system.measure(view) if "latency" not in s.name}
    assert found == {
        "system.errors": (0.01, "of 400 requests; 2 minutes of 2 servers"),
        "system.queue": (9.0, "the most in 2 minutes of 2 servers"),
        "system.memory": (2048.0, "the most in 2 minutes of 2 servers"),
        "system.gpu": (512.0, "the most in 2 minutes of 2 servers"),
    }
