"""What a server says of itself to the store: a row a minute, off the path of the answers."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime

from core.errors import StoreError
from core.records.signals import SystemSample
from core.store import Store
from serving.keys import scope_of
from serving.metrics import Metrics

log = logging.getLogger(__name__)
SECONDS = 60.0  # between samples
LOOK_SECONDS = 1.0  # between looks at the queue
WORK = ("predict", "feedback")  # the calls that count; the others only ask how the server is


class Sampler:
    """A thread that writes a `SystemSample` every so often.

    A store that is locked or down loses nothing but time: what was counted stands in the next sample.
    """

    def __init__(
        self, store: Store, metrics: Metrics, clock: Callable[[], datetime], seconds: float = SECONDS
    ) -> None:
        self._store, self._metrics, self._clock, self._seconds = store, metrics, clock, seconds
        self._source = f"{socket.gethostname()}:{os.getpid()}"
        self._told = self._counts()
        self._queue = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; a store that is waited for does not hold it up."""
        self._closing.set()
        self._thread.join(LOOK_SECONDS)

    def _watch(self) -> None:
        due = time.monotonic() + self._seconds
        while not self._closing.wait(min(LOOK_SECONDS, self._seconds)):
            self._queue = max(self._queue, self._waiting())
            if time.monotonic() >= due:
                self._write()
                due = time.monotonic() + self._seconds

    def _write(self) -> None:
        now = self._counts()
        requests, errors = now[0] - self._told[0], now[1] - self._told[1]
        when = self._clock()
        sample = SystemSample(
            self._source, when, requests, errors, self._queue, resident_bytes(), gpu_bytes()
        )
        try:
            self._store.signals.put_system(sample)
        except StoreError as fault:  # the log's own writer is who says it aloud
            log.debug("no sample was stored: %s", fault.got)
            return
        self._told, self._queue = now, 0

    def _counts(self) -> tuple[int, int]:
        """Requests answered so far, and those with 5xx."""
        found = [
            s
            for family in self._metrics.requests.collect()
            for s in family.samples
            if s.name.endswith("_total") and scope_of(s.labels["route"]) in WORK
        ]
        errors = (s.value for s in found if int(s.labels["code"]) >= 500)
        return int(sum(s.value for s in found)), int(sum(errors))

    def _waiting(self) -> int:
        return int(next(iter(self._metrics.queue.collect())).samples[0].value)


def resident_bytes() -> int:
    """Memory of this process; where the system does not say, the most it ever had."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def gpu_bytes() -> int | None:
    """Memory this process holds on its GPU; None without one. Never the first to load torch."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.memory_reserved())
