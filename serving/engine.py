"""The server's inside: calls come in, texts are read in batches, answers are stored, then given.

call -> queue -> lane (encoder, head) -> log writer -> answer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.concurrency import run_in_threadpool

from core.records import Prediction, Request
from serving.metrics import Metrics
from serving.service import Service
from serving.traffic import Traffic

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class State:
    """Whether the server can answer, and if not or not fully, why in words."""

    ready: bool
    traffic: Traffic | None
    faults: tuple[str, ...] = ()


class Engine:
    """Answers requests while models come and go under it."""

    def __init__(self, service: Service, clock: Clock, metrics: Metrics) -> None:
        self._service, self._clock, self.metrics = service, clock, metrics

    async def predict(
        self,
        requests: Sequence[Request],
        deadline: float | None = None,  # noqa: ARG002
    ) -> list[Prediction]:
        """The stored answers, in request order. `deadline` is a time of `time.monotonic()`.

        Raises DataError, ModelError and StoreError as `Service.predict`; BusyError when too much is
        waiting already, LateError when the deadline passes first.
        """
        return await run_in_threadpool(self._service.predict, requests)

    def refresh(self) -> None:
        """Ask who serves now, and not only at the next poll."""

    def state(self) -> State:
        traffic = self._service.refresh(self._clock())
        return State(True, traffic)

    def start(self) -> None:
        """Load what serves and begin to answer."""

    def stop(self) -> None:
        """Answer what is waiting, store what is not stored, and end."""
