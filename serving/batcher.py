"""Texts of many callers, read together: a bounded queue and one worker a core.

A worker takes its share of what is waiting as soon as it is free, so batches grow with the load by
themselves. It waits for more texts only when callers were lately so many that more are on their way,
and never longer than `MAX_WAIT`. With one caller nothing ever waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.errors import BusyError
from core.records.answers import Request

LOOK_AHEAD = 4  # batches: a worker looks so far for texts of a length
DECAY = 0.9  # of the load remembered, a batch


@dataclass(eq=False)
class Text:
    """One text waiting to be read, and the calls that wait for it."""

    request: Request
    deadline: float  # of time.monotonic()
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Concurrency that hand batches of texts to `read`, which must not raise."""

    def __init__(
        self,
        read: Callable[[list[Text]], None],
        workers: int,
        max_batch: int,
        max_wait: float,
        max_queue: int,
    ) -> None:
        """`max_wait` in seconds, `max_queue` in texts."""
        self._read, self._workers = read, workers
        self._max_batch, self._max_wait, self._max_queue = max_batch, max_wait, max_queue
        self._queue: deque[Text] = deque()
        self._changed = threading.Condition()
        self._reading = 0  # texts in workers
        self._load = 0.0  # texts that were on their way at once, lately
        self._rate = 0.0  # texts a second, lately
        self._open = True
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{i}", daemon=True) for i in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def put(self, texts: Sequence[Text]) -> None:
        """All of them or none. Raises BusyError when they would not fit into the queue."""
        with self._changed:
            waiting = len(self._queue)
            if not self._open or waiting + len(texts) > self._max_queue:
                raise BusyError(
                    "too many texts are waiting" if self._open else "the server is stopping",
                    retry_seconds=min(30.0, max(1.0, waiting / self._rate if self._rate else 1.0)),
                    expected=f"at most {self._max_queue} texts in the queue",
                    do="ask again after the seconds of Retry-After",
                )
            self._queue.extend(texts)
            self._load = max(self._load, len(self._queue) + self._reading)
            self._changed.notify()

    def close(self) -> None:
        """Take nothing more, read what is waiting, and end the workers."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while batch := self._take():
            start = time.monotonic()
            try:
                self._read(batch)
            finally:
                with self._changed:
                    self._reading -= len(batch)
                    rate = self._workers * len(batch) / max(time.monotonic() - start, 1e-6)
                    self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate

    def _take(self) -> list[Text]:
        """The next batch; empty when the workers shall end."""
        with self._changed:
            while True:
                while self._queue and not self._wait_for_more():
                    batch = self._pick(self._share())
                    self._reading += len(batch)
                    self._load = max(DECAY * self._load, len(self._queue) + self._reading)
                    if self._queue:
                        self._changed.notify()
                    return batch
                if not self._queue:
                    if not self._open:
                        return []
                    self._changed.wait()

    def _wait_for_more(self) -> bool:
        """Whether it waited: look again then. Not longer than the oldest text may still wait."""
        left = self._queue[0].since + self._max_wait - time.monotonic()
        if len(self._queue) >= self._share() or left <= 0 or not self._open:
            return False
        self._changed.wait(left)
        return True

    def _share(self) -> int:
        """How many texts a worker should read at once: as many as each other one, and as many wait."""
        return max(1, min(self._max_batch, -(-round(self._load) // (self._workers + 1))))

    def _pick(self, most: int) -> list[Text]:
        """The oldest text and those nearest to it in length: padding is work for nothing."""
        if len(self._queue) <= most:
            batch = list(self._queue)
            self._queue.clear()
            return batch
        near = [self._queue.popleft() for _ in range(min(len(self._queue), LOOK_AHEAD * most))]
        length = len(near[0].request.text)
        order = sorted(range(len(near)), key=lambda i: abs(len(near[i].request.text) - length))
        taken = set(order[:most])
        self._queue.extendleft(near[i] for i in reversed(range(len(near))) if i not in taken)
        return [near[i] for i in sorted(taken)]
