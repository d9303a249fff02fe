from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from core.arrays import Array
from core.errors import BusyError, DataError, EverloopError, LateError, ModelError, StoreError
from core.records.answers import Prediction, Request
from core.state import Champion
from core.store import Store
from serving.cache import Cache
from serving.engine import Concurrency, Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.traffic import WARMING
from tests.fake_models import (
    NOW,
    BrokenHead,
    HashEncoder,
    LinearHead,
    Shelf,
    model,
    requests,
    roll_out,
)


@dataclass
class HeldEncoder(HashEncoder):
    """Reads when it is let."""

    let: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def encode(self, texts: Sequence[str]) -> Array:
        self.begun.release()
        assert self.let.wait(10)
        return super().encode(texts)


@contextmanager
def running(service: Service, **given: Any) -> Iterator[Engine]:
    """An engine that serves and watches."""
    settings = given.pop("settings", Serving())
    engine = Engine(service, lambda: NOW, Metrics(), settings, **given)
    engine.poll = 0.01
    engine.start()
    try:
        until(lambda: engine.state().ready)
        yield engine
    finally:
        engine.stop()


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def ask(engine: Engine, *calls: list[Request], deadline: float | None = None) -> list[Any]:
    """All calls at once; each one's answers or its fault."""

    async def all_of_them() -> list[Any]:
        made = [engine.predict(c, deadline) for c in calls]
        return await asyncio.gather(*made, return_exceptions=True)

    return asyncio.run(all_of_them())


def named(name: str, text: str) -> Request:
    return Request(name, NOW, text)


def test_many_calls_are_read_together_and_stored(service: Service, store: Store, shelf: Shelf) -> None:
    with running(service) as engine:
        answers = ask(engine, *([r] for r in requests(64)))
        assert [a[0].request_id for a in answers] == [f"r{i}" for i in range(64)]
        known = store.answers.known([f"r{i}" for i in range(64)])
        assert all(known[a[0].request_id].prediction_id == a[0].prediction_id for a in answers)
        assert shelf.encoder.calls < 32
        assert store.state.counters()["encoder_passes.serving"] == 64


def test_answers_are_those_of_the_synchronous_path(
    service: Service, tmp_path: Any, shelf: Shelf
) -> None:
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    other.state.write(Champion("1"))
    expected = Service(other, shelf.load, max_text=100).predict(requests(40))
    with running(service) as engine:
        [answers] = ask(engine, requests(40))
    assert [(a.prediction_id, a.output, a.confidence) for a in answers] == [
        (e.prediction_id, e.output, pytest.approx(e.confidence, abs=1e-6)) for e in expected
    ]
    other.close()


def test_an_id_of_the_callers_own_is_answered_once(service: Service, store: Store) -> None:
    with running(service) as engine:
        same = ask(engine, *([named("a", "one")] for _ in range(20)))
        assert len({a[0].prediction_id for a in same}) == 1
        [later] = ask(engine, [replace(named("a", "one"), timestamp=NOW.replace(year=2027))])
        assert later[0].prediction_id == same[0][0].prediction_id
        [fault] = ask(engine, [named("a", "another text")])
        assert isinstance(fault, DataError)
        assert "already belongs to another text" in str(fault)
    assert store.answers.count() == 1


def test_one_id_for_two_texts_at_once_is_refused(service: Service) -> None:
    with running(service) as engine:
        outcomes = ask(engine, [named("a", "one"), named("a", "two")])
        assert isinstance(outcomes[0], DataError)


def test_a_late_text_is_not_read_and_its_caller_is_told(store: Store) -> None:
    slow = HeldEncoder()
    shelf = Shelf(slow)
    service = Service(store, shelf.load, max_text=100)
    slow.let.set()
    with running(service, concurrency=Concurrency(1)) as engine:
        slow.let.clear()
        reads = slow.reads

        async def late() -> list[Any]:
            first = asyncio.create_task(engine.predict(requests(1)))
            await asyncio.to_thread(slow.begun.acquire)
            with pytest.raises(LateError, match="not ready in time"):
                await engine.predict(requests(1, start=1), time.monotonic() + 0.02)
            slow.let.set()
            return list(await first)

        while slow.begun.acquire(blocking=False):
            pass
        assert len(asyncio.run(late())) == 1
        assert len(ask(engine, requests(1, start=2))[0]) == 1
        assert slow.reads == reads + 2


def test_more_than_may_wait_is_refused_at_once_and_the_rest_is_answered(store: Store) -> None:
    slow = HeldEncoder()
    slow.let.set()
    service = Service(store, Shelf(slow).load, max_text=100)
    few = Serving(max_inputs=4)
    with running(service, settings=few, concurrency=Concurrency(1)) as engine:
        slow.let.clear()
        threading.Timer(0.2, slow.let.set).start()
        outcomes = ask(engine, *([r] for r in requests(40)))
    refused = [o for o in outcomes if isinstance(o, BusyError)]
    assert len(refused) >= 20
    assert all(o.retry_seconds >= 1 for o in refused)
    assert store.answers.count() == 40 - len(refused)


def test_no_request_fails_and_each_names_its_model_while_versions_swap(
    service: Service, store: Store, shelf: Shelf
) -> None:
    made = {v: model(HashEncoder(f"e{v}"), LinearHead([f"label of {v}"], seed=v)) for v in range(3, 13)}
    shelf.models |= {str(v): m for v, m in made.items()}
    with running(service) as engine:
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                for version in shelf.models:
                    store.state.write(Champion(version))
                    until(lambda v=version: engine.state().traffic.champion.version == v)  # type: ignore

        swapper = threading.Thread(target=swap)
        swapper.start()
        outcomes = [
            o for i in range(30) for o in ask(engine, *([r] for r in requests(20, start=20 * i)))
        ]
        stop.set()
        swapper.join()
    assert not [o for o in outcomes if isinstance(o, Exception)]
    versions = {o[0].model_version for o in outcomes}
    assert len(versions) > 3
    for [answer] in outcomes:
        assert answer.output in shelf.models[answer.model_version].head.labels  # type: ignore[union-attr]
        assert answer.encoder == shelf.models[answer.model_version].encoder.identity


def test_a_broken_new_version_is_refused_before_it_serves(
    service: Service, store: Store, shelf: Shelf
) -> None:
    shelf.models["3"] = model(HashEncoder("e3"), BrokenHead(["a"]))
    with running(service) as engine:
        for broken in ("3", "missing"):
            store.state.write(Champion(broken))
            until(lambda b=broken: any(b in d.reason for d in store.decisions.read("serving")))  # type: ignore
            assert ask(engine, requests(2, start=len(broken)))[0][0].model_version == "1"
        assert engine.state().ready


def test_not_ready_until_the_model_is_warm(store: Store) -> None:
    slow = HeldEncoder()
    engine = Engine(Service(store, Shelf(slow).load, max_text=100), lambda: NOW, Metrics())
    engine.start()
    assert slow.begun.acquire(timeout=10)
    assert (engine.state().ready, engine.state().faults) == (False, ("the model is being loaded",))
    [fault] = ask(engine, requests(1))
    assert isinstance(fault, ModelError)
    slow.let.set()
    until(lambda: engine.state().ready)
    assert len(ask(engine, requests(1))[0]) == 1
    engine.stop()
    assert (engine.state().ready, engine.state().faults) == (False, ("the server is stopping",))


def test_an_alias_moved_by_hand_is_followed(service: Service, store: Store) -> None:
    chosen = ["1"]
    with running(service, alias=lambda: chosen[0]) as engine:
        chosen[0] = "2"
        engine.refresh()
        until(lambda: engine.state().traffic.champion.version == "2")  # type: ignore[union-attr]
        assert store.state.read(Champion).version == "2"
        [adopted] = store.decisions.read("serving")
        assert adopted.reason == "the registry's alias moved from version 1 to 2"
        chosen[0] = "broken"
        until(lambda: len(store.decisions.read("serving")) == 2)
        assert store.state.read(Champion).version == "2"


def test_a_registry_that_is_down_changes_nothing(service: Service) -> None:
    def down() -> str:
        raise StoreError("the tracking database did not do its part", got="no answer")

    with running(service, alias=down) as engine:
        said = ("the tracking database did not do its part: no answer",)
        until(lambda: engine.state().faults == said)
        assert engine.state().ready
        assert len(ask(engine, requests(3))[0]) == 3


def test_the_cache_spares_the_encoder_and_survives_a_swap(store: Store, shelf: Shelf) -> None:
    service = Service(store, shelf.load, max_text=100, cache=Cache(100))
    with running(service) as engine:
        reads = shelf.encoder.reads
        first = ask(engine, [named("a", "same")])[0][0]
        store.state.write(Champion("2"))
        until(lambda: engine.state().traffic.champion.version == "2")  # type: ignore[union-attr]
        second = ask(engine, [named("b", "same")])[0][0]
        assert shelf.encoder.reads == reads + 1 + len(WARMING)
        assert (first.model_version, second.model_version) == ("1", "2")
        assert (
            second.confidence == ask(engine, [named("c", "same")])[0][0].confidence != first.confidence
        )
        page = engine.metrics.page().decode()
        assert "everloop_cache_hits_total 2.0" in page


def test_a_canary_answers_its_users_and_both_rows_are_stored(service: Service, store: Store) -> None:
    roll_out(store, share=0.5)
    with running(service) as engine:
        [answers] = ask(engine, requests(40))
        assert {a.variant for a in answers} == {"champion", "canary"}
        again = ask(engine, requests(40, start=40))[0]
        by_user: dict[str, set[str]] = {}
        for a in (*answers, *again):
            by_user.setdefault(a.user_key, set()).add(a.variant)
        assert all(len(v) == 1 for v in by_user.values())
    assert len(store.answers.side_by_side(NOW, NOW.replace(hour=10))) == 160


class SlowLog:
    """A log whose rows are safe when the test says so."""

    def __init__(self) -> None:
        self.put_rows: list[tuple[list[Prediction], Future[None]]] = []

    def put(self, rows: list[Prediction], passes: int) -> Future[None]:
        self.put_rows.append((rows, Future()))
        return self.put_rows[-1][1]

    def able(self) -> bool:
        return True

    def owes(self) -> bool:
        return False

    def faults(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None: ...


def test_no_answer_before_its_rows_are_safe_and_none_when_they_never_are(service: Service) -> None:
    written = SlowLog()

    async def story(engine: Engine) -> None:
        calls = [asyncio.create_task(engine.predict(requests(1, start=i))) for i in range(2)]
        while sum(len(rows) for rows, _ in written.put_rows) < 2:
            await asyncio.sleep(0)
        assert not any(c.done() for c in calls)
        for rows, put in written.put_rows:
            if rows[0].request_id == "r0" and len(rows) == 1:
                put.set_result(None)
            else:
                put.set_exception(StoreError("the disk is full"))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(outcomes[1], EverloopError)

    with running(service, writer=written) as engine:
        asyncio.run(story(engine))
