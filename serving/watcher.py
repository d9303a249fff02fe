"""Who serves, followed: the store is polled, and the registry, where somebody may move its alias.

The alerts that are open are followed too, for /metrics.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from core.episodes import Episodes
from core.errors import EverloopError
from core.state import Champion
from core.store import Store
from serving.metrics import Metrics
from serving.traffic import Switch, Traffic

log = logging.getLogger(__name__)


class Watcher:
    """A thread that keeps a `Switch` at what the store and the registry name."""

    def __init__(
        self,
        store: Store,
        switch: Switch,
        clock: Callable[[], datetime],
        alias: Callable[[], str | None] | None,
        metrics: Metrics,
        poll_seconds: float,
    ) -> None:
        """`alias` says whom the registry calls champion; without it the store alone is followed."""
        self._store, self._switch, self._clock = store, switch, clock
        self._alias, self._metrics, self._poll_seconds = alias, metrics, poll_seconds
        self._wake, self._open = threading.Event(), True
        self.fault = "the model is being loaded"  # "" when all is well
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        switch.warm = True
        self._thread.start()

    def look(self) -> None:
        """Look now, and not only at the next poll."""
        self._wake.set()

    def close(self) -> None:
        self._open = False
        self._wake.set()
        self._thread.join()

    def _watch(self) -> None:
        while self._open:
            before = self._switch.now
            try:
                self._switch.turn(self._clock())
                self._follow()
                self._metrics.alerts.seen = self._store.state.read(Episodes)
                self._told(self._switch.fault)
            except EverloopError as fault:
                self._told(f"{fault.what}: {fault.got}" if fault.got else fault.what)
            self._show(before, self._switch.now)
            self._wake.wait(self._poll_seconds)
            self._wake.clear()

    def _told(self, fault: str) -> None:
        if fault and fault != self.fault:
            log.warning("not all that is named serves: %s", fault)
        self.fault = fault

    def _follow(self) -> None:
        """Take over a champion that somebody chose in the registry itself.

        The store is asked before and after: a promotion that is under way is not undone.
        """
        if self._alias is None:
            return
        before = self._store.state.read(Champion).version
        named = self._alias()
        if (
            named
            and named != before == self._store.state.read(Champion).version
            and self._switch.adopt(named, self._clock())
        ):
            self._switch.turn(self._clock())

    def _show(self, before: Traffic | None, now: Traffic | None) -> None:
        if now is None or now == before:
            return
        if before and before.champion.version != now.champion.version:
            self._metrics.swaps.inc()
        self._metrics.model.clear()
        self._metrics.model.labels("champion", now.champion.version).set(1)
        if now.candidate and now.rollout:
            self._metrics.model.labels(now.rollout.stage, now.candidate.version).set(1)
