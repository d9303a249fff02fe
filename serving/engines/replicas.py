"""Servers that write for models: which of them are well, which weights they have, who has least to do.

A server that is gone, or lacks the weights of a version, gets no request for it until it is well and
brought up to date; what it is writing it ends.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import httpx

from core.errors import BusyError, EngineError, EverloopError

log = logging.getLogger(__name__)
CONNECT_SECONDS = 2.0
LOOK_SECONDS = 1.0  # between two looks at a server
PATIENCE = 10.0  # seconds that a busy server has to say what it has
AGAIN = 30  # looks until what a server did not take is tried again
KEPT = 3  # versions: champion, candidate, and the champion before, so that a rollback is routing only


class WantedWeights(Protocol):
    """Weights that servers are to have."""

    @property
    def model(self) -> str:
        """What servers call them."""
        ...

    @property
    def command(self) -> str:
        """That starts a server with them."""
        ...

    def possible(self, replica: Replica) -> bool:
        """Whether a server has them, or can get them."""
        ...

    def bring(self, replica: Replica) -> None:
        """Load and check them. Raises EverloopError: why this server is not fit to use them."""
        ...


class Replica:
    """One server that speaks OpenAI's protocol. `seconds`: how long it may be silent."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url.rstrip("/").removesuffix("/v1") + "/v1",
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=False,
        )
        self.busy = Counter[str]()  # answers that it is writing for us, by model
        self.models: frozenset[str] = frozenset()  # that it has
        self.fit: frozenset[str] = frozenset()  # those that were checked
        self.loaded: frozenset[str] = frozenset()  # adapters that we made it load
        self.fault = ""  # why it has none
        self._unfit: dict[str, tuple[str, float]] = {}  # by model: why, and until when

    def look(self) -> None:
        """Ask what it has."""
        before = self.fault
        try:
            answer = self.http.get("/models", timeout=PATIENCE).raise_for_status()
            self.models = frozenset(str(one["id"]) for one in answer.json()["data"])
            self.fault = "" if self.models else "serves no model"
            self.fit, self.loaded = self.fit & self.models, self.loaded & self.models
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as fault:
            self.down(f"{type(fault).__name__}: {fault}")
        if self.fault != before:
            log.warning("engine %s", self)

    def down(self, why: str) -> None:
        """Nothing more for it, until a look finds it well. Then it is checked again: it may have been
        started with other weights."""
        self.models = self.fit = self.loaded = frozenset()
        self.fault, self._unfit = why, {}

    def lost(self, model: str) -> None:
        """It says that it does not have this one any more."""
        self.models, self.fit = self.models - {model}, self.fit - {model}

    def bring(self, wanted: WantedWeights, wait: float) -> None:
        """Up to date, where it is not and can be. What fails is tried again in `wait` seconds."""
        _, until = self._unfit.get(wanted.model, ("", 0.0))
        if wanted.model in self.fit or time.monotonic() < until or not wanted.possible(self):
            return
        try:
            wanted.bring(self)
            self.fit |= {wanted.model}
            self._unfit.pop(wanted.model, None)
            log.info("engine %s is fit for %s", self.url, wanted.model)
        except EverloopError as fault:
            wait = 0 if isinstance(fault, BusyError) else wait
            self._unfit[wanted.model] = str(fault), time.monotonic() + wait
            log.warning("engine %s is not fit for %s: %s", self.url, wanted.model, fault)

    def unload(self, model: str) -> None:
        """Let it forget an adapter that we made it load."""
        self.fit -= {model}
        self.loaded -= {model}
        try:
            self.http.post("/unload_lora_adapter", json={"lora_name": model}).raise_for_status()
        except httpx.HTTPError as fault:
            log.warning("engine %s does not unload %s: %s", self.url, model, fault)

    def __str__(self) -> str:
        names = ", ".join(sorted(self.models))
        return "; ".join([f"{self.url}: {self.fault or f'serves {names}'}", *self.unfit()])

    def unfit(self) -> list[str]:
        """Why it is not used for models that it could have."""
        return [" ".join(why.split()) for why, _ in self._unfit.values()]


class Replicas:
    """All of them, each looked at by a thread of its own."""

    def __init__(self, urls: Sequence[str], seconds: float, look: float = LOOK_SECONDS) -> None:
        self._all = [Replica(url, seconds) for url in urls]
        self._wanted: OrderedDict[str, WantedWeights] = OrderedDict()  # what was asked last is last
        self._turn, self._open, self._seconds = threading.Condition(), True, look
        self._threads = [
            threading.Thread(target=self._watch, args=(one,), name=f"engine {one.url}", daemon=True)
            for one in self._all
        ]
        for thread in self._threads:
            thread.start()

    def _watch(self, one: Replica) -> None:
        while self._open:
            one.look()
            with self._turn:
                wanted = dict(self._wanted)
                over = [m for m in one.loaded if m not in wanted and not one.busy[m]]
            for each in wanted.values():
                one.bring(each, AGAIN * self._seconds)
            for model in over:
                one.unload(model)
            with self._turn:
                if self._open and wanted.keys() == self._wanted.keys():
                    self._turn.wait(self._seconds)

    @contextmanager
    def least_busy(
        self, wanted: WantedWeights, tried: Collection[Replica] = ()
    ) -> Iterator[Replica | None]:
        """The one that is fit and has least to do; None where all that are fit were tried."""
        model = wanted.model
        with self._turn:
            self._want(wanted)
            able = [one for one in self._all if model in one.fit and one not in tried]
            chosen = min(able, key=lambda one: (one.busy.total(), random.random()), default=None)
            if chosen:
                chosen.busy[model] += 1
        try:
            yield chosen
        finally:
            if chosen:
                with self._turn:
                    chosen.busy[model] -= 1

    def _want(self, wanted: WantedWeights) -> None:
        if wanted.model not in self._wanted:
            self._turn.notify_all()  # the servers need not wait for their next look
        self._wanted[wanted.model] = wanted
        self._wanted.move_to_end(wanted.model)
        while len(self._wanted) > KEPT:
            self._wanted.popitem(last=False)

    def missing(self, wanted: WantedWeights) -> EngineError:
        return EngineError(
            "no engine has the weights of this version",
            where="serving.engine",
            got="; ".join(map(str, self._all)),
            expected=f"one that serves {wanted.model}",
            do=wanted.command,
        )

    def faults(self) -> tuple[str, ...]:
        """What is wrong with each that cannot write now, or not with all the weights it is to have."""
        return tuple(f"engine {one}" for one in self._all if one.fault or one.unfit())

    def able(self) -> bool:
        """Whether one of them can."""
        return not all(one.fault for one in self._all)

    def close(self) -> None:
        with self._turn:
            self._open = False
            self._turn.notify_all()
        for thread in self._threads:
            thread.join()
        for one in self._all:
            one.http.close()
