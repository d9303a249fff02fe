"""Servers that write for models: which of them are well, what they serve, who has least to do.

A server has the weights of a version when GET /v1/models names them: `everloop-` and the first twelve
digits of their SHA-256. So no answer is taken for that of another version. A server that is gone, or
has other weights, gets nothing new until it is well again; what it is writing it ends.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import httpx

from core.errors import EngineError

log = logging.getLogger(__name__)
CONNECT_SECONDS = 2.0
LOOK_SECONDS = 1.0  # between two looks at a server


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
        self.busy = 0  # answers that it is writing for us
        self.models: frozenset[str] = frozenset()  # that it has
        self.fault = ""  # why it has none

    def look(self) -> None:
        """Ask what it has."""
        before = self.fault
        try:
            answer = self.http.get("/models", timeout=CONNECT_SECONDS).raise_for_status()
            self.models = frozenset(str(one["id"]) for one in answer.json()["data"])
            self.fault = "" if self.models else "serves no model"
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as fault:
            self.down(f"{type(fault).__name__}: {fault}")
        if self.fault != before:
            log.warning("engine %s: %s", self.url, self.fault or f"serves {self._names}")

    def down(self, why: str) -> None:
        """Nothing more for it, until a look finds it well."""
        self.models, self.fault = frozenset(), why

    def __str__(self) -> str:
        return f"{self.url}: {self.fault or f'serves {self._names}'}"

    @property
    def _names(self) -> str:
        return ", ".join(sorted(self.models))


class Replicas:
    """All of them, each looked at by a thread of its own."""

    def __init__(self, urls: Sequence[str], seconds: float, look: float = LOOK_SECONDS) -> None:
        self._all = [Replica(url, seconds) for url in urls]
        self._turn, self._closing, self._seconds = threading.Lock(), threading.Event(), look
        self._threads = [
            threading.Thread(target=self._watch, args=(one,), name=f"engine {one.url}", daemon=True)
            for one in self._all
        ]
        for thread in self._threads:
            thread.start()

    def _watch(self, one: Replica) -> None:
        while not self._closing.is_set():
            one.look()
            self._closing.wait(self._seconds)

    @contextmanager
    def least_busy(self, model: str, tried: Collection[Replica] = ()) -> Iterator[Replica | None]:
        """The one with the weights and the least to do; None where all that have them were tried."""
        with self._turn:
            able = [one for one in self._all if model in one.models and one not in tried]
            chosen = min(able, key=lambda one: (one.busy, random.random()), default=None)
            if chosen:
                chosen.busy += 1
        try:
            yield chosen
        finally:
            if chosen:
                with self._turn:
                    chosen.busy -= 1

    def missing(self, model: str) -> EngineError:
        return EngineError(
            "no engine has the weights of this version",
            where="serving.engine",
            got="; ".join(map(str, self._all)),
            expected=f"one that serves {model}",
            do=f"vllm serve FOLDER --served-model-name {model}, FOLDER being generator/ of the version",
        )

    def close(self) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        for one in self._all:
            one.http.close()
