"""The server's inside: calls come in, texts are read in batches, answers are stored, then given.

    call -> queue -> worker (encoder, head) -> log writer -> answer

The event loop never waits for a model, a disk or a database. Who serves is looked up by a thread of
its own: a new version is loaded and warmed beside the old one, and each batch is answered by one
moment's whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from core.errors import EverloopError, InputError, ModelError, StoreError
from core.records.answers import Prediction, Request
from serving.batcher import Batcher
from serving.calls import Call, Outcome, Waiting, late, trace, trace_answers
from serving.gen_ai import wants_content
from serving.log import Log
from serving.metrics import Metrics
from serving.scoring import LoadedModel
from serving.service import Service
from serving.settings import MAX_BATCH, MAX_WAIT, POLL_SECONDS, WAITING_CALLS, Serving
from serving.tracing import here
from serving.traffic import Traffic
from serving.watcher import Watcher

log = logging.getLogger(__name__)
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class State:
    """Whether the server can answer, and if not or not fully, why in words."""

    ready: bool
    traffic: Traffic | None
    faults: tuple[str, ...] = ()


class Elsewhere(Protocol):
    """Servers that write for the models here."""

    def faults(self) -> tuple[str, ...]:
        """What is wrong with each that cannot write now."""
        ...

    def able(self) -> bool:
        """Whether one of them can."""
        ...


@dataclass(frozen=True)
class Concurrency:
    """How many batches are read at once, of how many texts at most, how many texts may wait for them
    (None: those of a few calls), and the servers that answer them, where that is done elsewhere."""

    workers: int
    most: int = MAX_BATCH
    waiting: int | None = None
    elsewhere: Elsewhere | None = None


class Engine:
    """Answers requests while models come and go under it."""

    poll = POLL_SECONDS

    def __init__(
        self,
        service: Service,
        clock: Clock,
        metrics: Metrics,
        settings: Serving | None = None,
        *,
        writer: Log | None = None,
        alias: Callable[[], str | None] | None = None,
        concurrency: Concurrency | None = None,
    ) -> None:
        """Without a `writer` each batch commits for itself. `alias`: who is the registry's champion."""
        self._service, self._clock, self.metrics = service, clock, metrics
        self._settings = settings or Serving()
        self._log, self._alias = writer or service.log, alias
        self._named: dict[
            str, Waiting
        ] = {}  # by request id: asked under a caller's own id, not stored yet
        self._watcher: Watcher | None = None
        self._stopping = False
        concurrency = concurrency or Concurrency(os.cpu_count() or 1)
        self._elsewhere = concurrency.elsewhere
        waiting = concurrency.waiting or WAITING_CALLS * self._settings.max_inputs
        self._batcher = Batcher(self._read, concurrency.workers, concurrency.most, MAX_WAIT, waiting)
        metrics.queue.set_function(lambda: self._batcher.waiting)

    # -- for callers, on their event loop ---------------------------------------------------

    async def predict(
        self, requests: Sequence[Request], deadline: float | None = None
    ) -> list[Prediction]:
        """The stored answers, in request order. `deadline` is a time of `time.monotonic()`.

        Raises DataError, ModelError and StoreError as `Service.predict`; BusyError when too much is
        waiting already, LateError when the deadline passes first.
        """
        self._service.check(requests)
        if not requests:
            return []
        loop, now = asyncio.get_running_loop(), time.monotonic()
        end = now + self._settings.timeout_ms / 1000 if deadline is None else deadline
        call = Call(loop.create_future(), [None] * len(requests), len(requests))
        self._batcher.put(self._texts(requests, call, end, loop))
        timer = loop.call_later(end - now, call.late, end - now)
        try:
            return await call.answered
        finally:
            timer.cancel()

    def knows(self, prediction_id: str) -> bool:
        """Whether this can be the id of an answer; only a log that keeps every answer is sure.

        Raises StoreError when answers that were given are not in the store yet.
        """
        if self._log.owes() and not self._service.store.answers.get(prediction_id):
            raise StoreError(
                "the store does not have all answers yet",
                where="prediction_id",
                got=prediction_id,
                do="send it again in a minute; /ready says what is wrong",
            )
        return self._service.knows(prediction_id)

    def storable(self, text: str) -> str:
        """As `Service.storable`."""
        return self._service.storable(text)

    def _texts(
        self, requests: Sequence[Request], call: Call, end: float, loop: asyncio.AbstractEventLoop
    ) -> list[Waiting]:
        """What must be read for a call: a text asked under the same id a moment ago is shared."""
        new: list[Waiting] = []
        shared: list[tuple[Waiting, int]] = []
        named: dict[str, Waiting] = {}
        span = here()
        for slot, request in enumerate(requests):
            key = request.request_id
            twin = None if request.fresh else named.get(key) or self._named.get(key)
            if twin is None or twin.loop is not loop:
                text = Waiting(request, end, loop=loop, callers=[(call, slot)], trace=span)
                new.append(text)
                if not request.fresh:
                    named[key] = text
            else:
                self._service.same_text(request, twin.request.text)
                shared.append((twin, slot))
        for twin, slot in shared:
            twin.callers.append((call, slot))
        self._named |= named
        return new

    def _give(self, outcomes: list[tuple[Waiting, Outcome]]) -> None:
        for text, outcome in outcomes:
            if not text.request.fresh and self._named.get(text.request.request_id) is text:
                del self._named[text.request.request_id]
            for call, slot in text.callers:
                call.give(slot, outcome)

    # -- in the workers ---------------------------------------------------------------------

    def _read(self, batch: list[Any]) -> None:
        now, clock = time.monotonic(), time.time_ns()
        for text in {id(t.trace): t for t in batch if t.trace}.values():
            trace([text], "queue", clock - round((now - text.since) * 1e9), clock)
        over = [t for t in batch if t.deadline <= now]
        self._answer_all((t, late(t.deadline - t.since)) for t in over)
        texts = [t for t in batch if t.deadline > now]
        if not texts:
            return
        try:
            self._answer(texts)
        except InputError as fault:
            if len(texts) == 1:
                self._fail(texts, fault)
            else:  # there is one that the model cannot read: the others are well
                for text in texts:
                    self._read([text])
        except EverloopError as fault:
            self._fail(texts, fault)
        except Exception as fault:
            log.exception("a batch of %d texts failed", len(texts))
            self._fail(texts, ModelError("the model failed on this text", got=type(fault).__name__))

    def _answer(self, texts: list[Waiting]) -> None:
        """Score what has no answer yet, store it, and give every text its own when it is safe."""
        traffic = self._traffic()
        found = self._service.before([t.request for t in texts])
        old = [t for t in texts if t.request.request_id in found]
        self._answer_all((t, found[t.request.request_id]) for t in old)
        new = [t for t in texts if t.request.request_id not in found]
        if not new:
            return
        begun = time.time_ns()
        rows, passes = self._service.answer([t.request for t in new], traffic)
        ended = time.time_ns()
        self._count(rows, passes, len(new), (ended - begun) / 1e9)
        trace(new, "model", begun, ended)
        policy = self._service.policy
        clean = policy.clean if policy.texts and wants_content() else None
        trace_answers(new, rows, (begun, ended), clean)
        put = self._log.put(rows, passes)
        put.add_done_callback(lambda f: self._stored(new, rows, f))
        put.add_done_callback(lambda _: trace(new, "commit", ended, time.time_ns()))

    def _stored(self, texts: list[Waiting], rows: list[Prediction], put: Future[None]) -> None:
        """The rows are safe, or will never be: tell the callers."""
        fault = put.exception()
        if fault:
            known = isinstance(fault, EverloopError)
            self._fail(texts, fault if known else StoreError("not stored", got=str(fault)))  # type: ignore[arg-type]
            return
        answers = self._service.after([t.request for t in texts], rows)
        self._answer_all((t, answers[t.request.request_id]) for t in texts)

    def _fail(self, texts: list[Waiting], fault: EverloopError) -> None:
        self.metrics.errors.labels("champion", type(fault).__name__).inc(len(texts))
        self._answer_all((t, fault) for t in texts)

    def _answer_all(self, outcomes: Iterable[tuple[Waiting, Outcome]]) -> None:
        """Hand outcomes over to the event loops that wait for them."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiting, Outcome]]] = {}
        for text, outcome in outcomes:
            by_loop.setdefault(text.loop, []).append((text, outcome))
        for loop, some in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._give, some)

    def _count(self, rows: list[Prediction], passes: int, texts: int, seconds: float) -> None:
        self.metrics.batch.observe(texts)
        self.metrics.model_seconds.observe(seconds)
        self.metrics.cache_misses.inc(passes)
        self.metrics.cache_hits.inc(max(0, texts - passes))
        counts: dict[tuple[str, str], int] = {}
        for r in rows:
            counts[r.variant, r.model_version] = counts.get((r.variant, r.model_version), 0) + 1
        for which, count in counts.items():
            self.metrics.predictions.labels(*which).inc(count)

    # -- who serves -------------------------------------------------------------------------

    def _traffic(self) -> Traffic:
        if self._watcher is None:  # nobody watches: ask now
            return self._service.switch.turn(self._clock())
        traffic = self._service.switch.now
        if traffic is None:
            raise ModelError(
                "no model is loaded yet", got=self._watcher.fault, do="ask /ready, then again"
            )
        return traffic

    def refresh(self) -> None:
        """Ask who serves now, and not only at the next poll."""
        if self._watcher:
            self._watcher.look()

    def champion(self) -> LoadedModel | None:
        """The model that answers now, None before one is loaded."""
        traffic = self._service.switch.now
        return traffic.champion if traffic else None

    def state(self) -> State:
        if self._watcher is None:
            return State(True, self._service.switch.turn(self._clock()))
        traffic = self._service.switch.now
        faults = (
            "the server is stopping" if self._stopping else "",
            self._watcher.fault,
            *self._log.faults(),
            *(self._elsewhere.faults() if self._elsewhere else ()),
        )
        able = self._log.able() and (self._elsewhere is None or self._elsewhere.able())
        ready = traffic is not None and able and not self._stopping
        return State(ready, traffic, tuple(f for f in faults if f))

    def start(self) -> None:
        """Load and warm what serves, and follow every change."""
        store, switch = self._service.store, self._service.switch
        self._watcher = Watcher(store, switch, self._clock, self._alias, self.metrics, self.poll)

    def stop(self) -> None:
        """Answer what is waiting, store what is not stored, and end."""
        self._stopping = True
        self._batcher.close()
        self._log.close()
        if self._watcher:
            self._watcher.close()
