"""An engine behind URLs: any servers that speak OpenAI's protocol (vLLM, SGLang, llama.cpp, Ollama).

Each answer is asked for as a stream. Until its first token came another server may be asked; after it
none is, since a caller has heard it. Then what was written is stored as an answer that broke off.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from core.errors import BusyError, EngineError, EverloopError, InputError
from core.records.answers import Message
from core.records.writing import BROKEN, CUT, Completion, Piece, Prompted
from serving.engines.replicas import Replica, Replicas
from serving.engines.tool_calls import as_text, joined

BUSY = (429, 503)
REFUSED = (400, 413, 422)  # the caller's fault
END = "[DONE]"


@dataclass(frozen=True)
class UrlEngine:
    """Writes with one model's weights, on whichever server has them."""

    replicas: Replicas
    model: str  # what servers call these weights

    def write(self, asked: Sequence[tuple[Prompted, list[Message], int]]) -> list[Completion]:
        """Raises InputError, EngineError and BusyError."""
        return [self._one(*each) for each in asked]

    def _one(self, asked: Prompted, messages: list[Message], most: int) -> Completion:
        body = _body(self.model, asked, messages, most)
        tried: dict[Replica, EverloopError] = {}
        while True:
            with self.replicas.least_busy(self.model, tried) as replica:
                if replica is None:
                    raise self._none(list(tried.values()))
                try:
                    return _written(replica, body, asked)
                except (EngineError, BusyError) as fault:
                    tried[replica] = fault

    def _none(self, faults: list[EverloopError]) -> EverloopError:
        """What to say when each that has the weights was asked."""
        if not faults:
            return self.replicas.missing(self.model)
        busy = [fault for fault in faults if isinstance(fault, BusyError)]
        return min(busy, key=lambda fault: fault.retry_seconds) if busy else faults[-1]


def _body(model: str, asked: Prompted, messages: list[Message], most: int) -> dict[str, Any]:
    how = asked.how
    wanted = {
        "seed": how.seed,
        "stop": list(how.stop) or None,
        "top_logprobs": how.top_logprobs or None,
        "response_format": how.response_format,
        **how.tools,
    }
    return {
        "model": model,
        "messages": messages,
        "max_tokens": most,
        "temperature": how.temperature,
        "top_p": how.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        "logprobs": True,
    } | {name: value for name, value in wanted.items() if value is not None}


def _written(replica: Replica, body: Mapping[str, Any], asked: Prompted) -> Completion:
    """Raises InputError, BusyError, and EngineError while no caller heard a token of it."""
    reading = _Reading(asked, str(body["model"]))
    try:
        with replica.http.stream("POST", "/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                raise _refused(replica, answer)
            for event in _events(answer):
                reading.take(event)
                if asked.listener.gone:
                    return reading.done(CUT)
        if not reading.finish:
            raise _broken(replica, "it ended in the middle of an answer")
    except (httpx.HTTPError, httpx.StreamError) as fault:
        if isinstance(fault, httpx.TransportError):
            replica.down(f"{type(fault).__name__}: {fault}")
        return reading.broken(_broken(replica, f"{type(fault).__name__}: {fault}"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as fault:
        why = f"nothing that OpenAI's protocol has: {type(fault).__name__}: {fault}"
        return reading.broken(_broken(replica, why))
    except EngineError as fault:
        return reading.broken(fault)
    return reading.done(reading.finish)


def _events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == END:
            return
        yield json.loads(data)


def _refused(replica: Replica, answer: httpx.Response) -> EverloopError:
    """What a server's status says."""
    status, said = answer.status_code, answer.read()[:2000].decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = str(json.loads(said)["error"]["message"])
    if status in REFUSED:
        return InputError("the engine refuses this request", got=f"{status}: {said[:500]}")
    if status in BUSY:
        return BusyError(
            "every engine is busy",
            retry_seconds=_seconds(answer.headers.get("retry-after")),
            do="ask again after the seconds of Retry-After",
        )
    return _broken(replica, f"{status}: {said[:200]}")


def _seconds(said: str | None) -> float:
    try:
        return max(1.0, float(said or 1))
    except ValueError:  # a date
        return 1.0


def _broken(replica: Replica, got: str) -> EngineError:
    return EngineError(
        "the engine gives no answer", where=replica.url, got=got, do="ask again; see the engine's log"
    )


@dataclass
class _Reading:
    """An answer that is coming."""

    asked: Prompted
    model: str
    text: str = ""
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    usage: Mapping[str, Any] = field(default_factory=dict)
    pieces: int = 0
    finish: str = ""
    first_ms: float | None = None
    begun: float = field(default_factory=time.perf_counter)

    def take(self, event: dict[str, Any]) -> None:
        """One event. Raises EngineError: of another model; ValueError and others: nonsense."""
        if "error" in event:
            raise EngineError("the engine broke off", got=str(event["error"])[:200])
        if event["model"] != self.model:
            raise EngineError(
                "the engine answers as another model",
                got=ascii(event["model"]),
                expected=self.model,
                do="nothing of it was given; see how the engine was started",
            )
        self.usage = event.get("usage") or self.usage
        for choice in event["choices"]:
            self._take(choice)

    def _take(self, choice: dict[str, Any]) -> None:
        delta, said = choice["delta"], choice.get("logprobs") or {}
        text, calls = delta.get("content") or "", delta.get("tool_calls") or []
        tokens = said.get("content") or []
        self.finish = choice.get("finish_reason") or self.finish
        self.logprobs += [float(token["logprob"]) for token in tokens]
        if not (text or calls or tokens):
            return
        if self.first_ms is None:
            self.first_ms = (time.perf_counter() - self.begun) * 1000
        self.text, self.pieces = self.text + text, self.pieces + 1
        self.calls += calls
        told = tuple(tokens) if self.asked.how.top_logprobs is not None else ()
        self.asked.listener.say(Piece(text, told, tuple(calls)))

    def broken(self, fault: EngineError) -> Completion:
        """What there is of an answer that broke off; raises the fault where nobody heard any of it."""
        if self.asked.listener.heard and self.asked.listener.answer_id:
            return self.done(BROKEN)
        raise fault

    def done(self, why: str) -> Completion:
        counted = len(self.logprobs) or self.pieces
        return Completion(
            text=self.text or as_text(joined(self.calls)),
            finish_reason=why,
            prompt_tokens=int(self.usage.get("prompt_tokens") or 0),
            completion_tokens=int(self.usage.get("completion_tokens") or counted),
            logprobs=tuple(self.logprobs),
            first_ms=self.first_ms,
        )
