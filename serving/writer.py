"""The prediction log's writer: answers of many callers, stored together, each safe before it is given.

put -> queue -> one transaction -> futures.  While the store does not take them: put -> queue -> spool
on disk -> futures, and a second thread brings the spool to the store, in order, once it answers again:
our own groups, those of writers that died, and those of other servers of the workspace.

Every group has a number that the store remembers, so a group whose commit got lost on the way, or
that was stored just before a crash, is not stored or counted twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol
from uuid import uuid4

from core.errors import RowError, StoreError
from core.kept import Kept
from core.records.answers import Prediction
from core.store import Store
from core.store.old_spools import take_over
from core.store.spool import Spool, free
from serving.metrics import Metrics

log = logging.getLogger(__name__)
GROUP_ROWS = 2000  # of one transaction
LAST_ROWS = 200  # on disk, that are brought to the store in one go
MOST_WAITING = 20_000  # rows in memory; more are refused
RETRY_SECONDS = 0.5
ASYNC_SECONDS = 1.0


class Keep(Protocol):
    """What of some answers is to be stored: rows of one request all or none."""

    def __call__(self, rows: list[Prediction]) -> Kept: ...


@dataclass(frozen=True)
class LogPromise:
    """When an answer may be given: once it is stored, or before, as long as little is at stake."""

    durability: Literal["acknowledged", "async"] = "acknowledged"
    async_rows: int = 1000  # given and not yet stored, at most; and none while one waits ASYNC_SECONDS
    spool_bytes: int = 256 << 20


@dataclass(frozen=True)
class LogState:
    """How far the log is behind, and why."""

    waiting: int  # rows in memory, neither in the store nor on disk
    lag_seconds: float  # age of the oldest row that is not in the store
    spooled_rows: int
    fault: str = ""  # in words; "" when all is well


@dataclass
class _Put:
    rows: list[Prediction]
    passes: int
    since: float
    early: bool  # given already
    future: Future[None]


class Writer:
    """Stores answers with few and large transactions. Every method may be called from any thread.

    `store` should be one that gives up soon when it is locked (`Store(url, busy=1)`): for so long
    callers wait before their rows go to the spool in `folder`.
    """

    def __init__(
        self,
        store: Store,
        keep: Keep,
        folder: Path,
        metrics: Metrics,
        promise: LogPromise | None = None,
    ) -> None:
        self._store, self._keep, self._folder, self._metrics = store, keep, folder, metrics
        self._promise = promise or LogPromise()
        self._apart = not store.url.startswith("sqlite")  # the store needs no room on our disk
        self._name, self._spool = str(uuid4()), Spool(folder, self._promise.spool_bytes)
        self._rows = self._ours = 0  # on disk, at the last look: rows, and groups that we put there
        self._disk = threading.RLock()  # guards these two: one thread fills the spool, one empties it
        self._queue: deque[_Put] = deque()
        self._waiting = self._number = 0
        self._in_hand: list[_Put] = []
        self._spooled_since = 0.0
        self._fault: StoreError | None = None
        self._lost = ""  # why rows were refused that nobody could keep, until one is stored again
        self._closing = threading.Event()
        self._changed = threading.Condition()  # guards the queue
        self._work = threading.Thread(target=self._write_all, name="log-writer", daemon=True)
        self._mend = threading.Thread(target=self._drain_all, name="log-drain", daemon=True)
        metrics.log_waiting.set_function(lambda: self.state().waiting)
        metrics.log_lag.set_function(lambda: self.state().lag_seconds)
        metrics.log_spooled.set_function(lambda: self.state().spooled_rows)
        self._work.start()
        self._mend.start()

    def put(self, rows: list[Prediction], passes: int) -> Future[None]:
        """Rows to store, and how many texts the encoder read for them. Done when the rows are safe as
        `durability` says; a StoreError when they are not, and then they never will be."""
        now, future = time.monotonic(), Future[None]()
        future.set_running_or_notify_cancel()  # rows in the queue are stored, whoever goes away
        with self._changed:
            closing = self._closing.is_set()
            if closing or self._waiting + len(rows) > MOST_WAITING:
                what = "the log is closed" if closing else "too much waits to be logged"
                future.set_exception(StoreError(what, got=f"{self._waiting} rows"))
                return future
            early = self._may_be_early(len(rows), now)
            self._queue.append(_Put(rows, passes, now, early, future))
            self._waiting += len(rows)
            self._changed.notify_all()
        if early:
            future.set_result(None)
        return future

    def state(self) -> LogState:
        now = time.monotonic()
        with self._changed:
            held = [*self._in_hand, *self._queue]
            since = [p.since for p in held[:1]] + ([self._spooled_since] if self._ours else [])
            fault = self._lost or (self._fault.what if self._fault else "")
            if fault and self._rows:
                fault += f": {self._rows} rows wait on disk"
            return LogState(self._waiting, now - min(since, default=now), self._rows, fault)

    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words; () when all is well."""
        fault = self.state().fault or ("" if free(self._folder) else "the disk is full")
        return (fault,) if fault else ()

    def able(self) -> bool:
        """Whether an answer could be kept now, in the store or on disk."""
        return not self._lost and (free(self._folder) or (self._apart and self._fault is None))

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until what was put is in the store or on disk; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting == 0, seconds)

    def owes(self) -> bool:
        """Whether answers were given that the store does not have yet."""
        with self._changed:
            early = any(p.early for p in (*self._in_hand, *self._queue))
            return early or bool(self._rows or self._ours)

    def close(self, seconds: float = 10.0) -> None:
        """Flush, try once more to store what is on disk, and end. What stays is for the next writer."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._work.join(seconds)
        self._mend.join(seconds)
        self._spool.close()

    def _may_be_early(self, rows: int, now: float) -> bool:
        if self._promise.durability != "async" or self._fault or self._lost:
            return False
        held = [*self._in_hand, *self._queue]
        given = sum(len(p.rows) for p in held if p.early)
        in_time = not held or now - held[0].since < ASYNC_SECONDS
        return given + rows <= self._promise.async_rows and in_time

    # -- the writing thread ---------------------------------------------------------------

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing.is_set())
                if not self._queue:
                    return
                self._in_hand = puts = self._next()
            again = self._settle(puts)
            with self._changed:
                self._in_hand = []
                self._queue.extendleft(reversed(again))
                self._waiting -= sum(len(p.rows) for p in puts) - sum(len(p.rows) for p in again)
                self._changed.notify_all()
            if again and self._closing.wait(RETRY_SECONDS):
                return

    def _next(self) -> list[_Put]:
        puts = [self._queue.popleft()]
        rows = len(puts[0].rows)
        while self._queue and rows + len(self._queue[0].rows) <= GROUP_ROWS:
            puts.append(self._queue.popleft())
            rows += len(puts[-1].rows)
        return puts

    def _settle(self, puts: list[_Put]) -> list[_Put]:
        """Make the puts safe together; where one spoils it for the others, each by itself. Returns
        those to try again: their answers are given already."""
        try:
            self._save(puts)
        except Exception as fault:  # whatever it is, those who wait are told
            if len(puts) > 1 and not _passing(fault):
                return [again for put in puts for again in self._settle([put])]
            return self._refuse(puts, fault)
        for put in puts:
            if not put.early:
                put.future.set_result(None)
        return []

    def _save(self, puts: list[_Put]) -> None:
        """In the store, else on disk. Raises StoreError when neither takes it."""
        kept = self._keep([row for p in puts for row in p.rows])
        self._number += 1
        group = replace(kept, passes=sum(p.passes for p in puts), number=self._number)
        with self._disk:
            if not self._ours:  # else what waits on disk goes first
                try:
                    self._append([group], self._name)
                    return
                except RowError:
                    raise
                except StoreError as fault:
                    self._fault = fault
            self._spool.append(self._name, [group])
            self._spooled_since = self._spooled_since if self._ours else puts[0].since
            self._rows, self._ours = self._rows + len(group.rows), self._ours + 1
        self._lost = ""

    def _append(self, groups: Sequence[Kept], writer: str) -> None:
        self._store.answers.append(groups, writer)
        self._metrics.log_rows.inc(sum(len(g.rows) for g in groups))
        self._fault = None
        if groups or self._apart:  # a file that took nothing is no proof that there is room
            self._lost = ""

    def _refuse(self, puts: list[_Put], fault: Exception) -> list[_Put]:
        told = fault if isinstance(fault, StoreError) else StoreError("not logged", got=repr(fault))
        before, passing = self._lost, _passing(fault)
        if passing:
            self._lost = told.what
        for put in puts:
            if not put.early:
                put.future.set_exception(told)
        early = [p for p in puts if p.early]
        if passing and not before:
            log.error("answers cannot be kept, so none are given: %s", told)
        if passing:
            return early
        if early:
            log.error("an answer that was given cannot be logged: %s", told)
        return []

    # -- the draining thread --------------------------------------------------------------

    def _drain_all(self) -> None:
        while True:
            closing = self._closing.wait(RETRY_SECONDS)
            if closing:
                self._work.join()  # whose last rows may go to the spool
            try:
                self._drain()
                if closing and not self._ours:
                    self._store.answers.forget_writer(self._name)
            except (StoreError, OSError) as fault:
                self._fault = fault if isinstance(fault, StoreError) else _unreadable(fault)
            if self._lost and self._spool.takes_more():
                self._lost = ""
            if closing:
                return

    def _drain(self) -> None:
        """Bring to the store what waits on disk, whoever wrote it."""
        troubled = self._fault is not None or bool(self._lost)
        self._count_spooled()
        with self._spool.draining() as is_ours:
            if is_ours:
                take_over(self._folder)
                while self._bring() and self._count_spooled() > LAST_ROWS:
                    pass
            with self._disk:  # new answers wait for the last ones, or there would always be more
                while is_ours and self._bring():
                    pass
                self._count_spooled()
        if troubled and not self._ours:
            self._append([], self._name)  # is the store well again?

    def _bring(self) -> int:
        """Bring some groups to the store; how many."""
        writer, groups = self._spool.next(GROUP_ROWS)
        if groups:
            try:
                self._append(groups, writer)
            except RowError:
                self._bring_each(writer, groups)
            self._spool.done(writer, groups[-1])
        return len(groups)

    def _bring_each(self, writer: str, groups: list[Kept]) -> None:
        """One by one; a group that the store will never take is put aside, for people to look at."""
        for group in groups:
            try:
                self._append([group], writer)
            except RowError as fault:
                log.error("rows that the store refuses stay in %s: %s", self._spool.path, fault)
                self._spool.put_aside(writer, group, str(fault))

    def _count_spooled(self) -> int:
        """Rows on disk."""
        with self._disk:
            self._rows, self._ours = self._spool.waiting(self._name)
            return self._rows


def _passing(fault: Exception) -> bool:
    """Whether it is the store's fault and may end, not that of one row."""
    return isinstance(fault, StoreError) and not isinstance(fault, RowError)


def _unreadable(fault: OSError) -> StoreError:
    return StoreError("the spool cannot be read", got=fault.strerror or str(fault))
