"""An engine behind URLs: any servers that speak OpenAI's protocol (vLLM, SGLang, llama.cpp, Ollama).

Each answer is asked for as a stream. Until its first token came another server may be asked; after it
none is, since a caller has heard it. Then what was written is stored as an answer that broke off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import BusyError, EngineError, EverloopError
from core.records.answers import Message
from core.records.writing import Completion, Prompted
from serving.engines.asking import written
from serving.engines.deployments import Deployment
from serving.engines.replicas import Replica, Replicas


@dataclass(frozen=True)
class UrlEngine:
    """Writes with one model's weights, on whichever server has them."""

    replicas: Replicas
    deployment: Deployment

    def write(self, asked: Sequence[tuple[Prompted, list[Message], int]]) -> list[Completion]:
        """Raises InputError, EngineError and BusyError."""
        return [self._one(*each) for each in asked]

    def _one(self, asked: Prompted, messages: list[Message], most: int) -> Completion:
        tried: dict[Replica, EverloopError] = {}
        while True:
            with self.replicas.least_busy(self.deployment, tried) as replica:
                if replica is None:
                    raise self._none(list(tried.values()))
                try:
                    return written(replica, self.deployment.model, asked, messages, most)
                except (EngineError, BusyError) as fault:
                    tried[replica] = fault

    def _none(self, faults: list[EverloopError]) -> EverloopError:
        """What to say when each that has the weights was asked."""
        if not faults:
            return self.replicas.missing(self.deployment)
        busy = [fault for fault in faults if isinstance(fault, BusyError)]
        return min(busy, key=lambda fault: fault.retry_seconds) if busy else faults[-1]
