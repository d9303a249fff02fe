"""One server is asked for one answer, as a stream of OpenAI's protocol.

What was written before it broke off is an answer that broke off, once a caller has heard of it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from core.errors import BusyError, EngineError, EverloopError, InputError
from core.records.answers import Message
from core.records.tool_calls import as_text, joined
from core.records.writing import BROKEN, CUT, Completion, Piece, Prompted
from serving.engines.replicas import Replica

BUSY = (429, 503)
REFUSED = (400, 413, 422)  # the caller's fault
GONE = 404  # it lacks the model
END = "[DONE]"


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


def written(
    replica: Replica, model: str, asked: Prompted, messages: list[Message], most: int
) -> Completion:
    """What it writes with the weights that it calls `model`, in `most` tokens at most.

    Raises InputError, BusyError, and EngineError while no caller heard a token of it.
    """
    reading, body = _Reading(asked, model), _body(model, asked, messages, most)
    try:
        with replica.http.stream("POST", "/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                raise _refused(replica, model, answer)
            for event in _events(answer):
                reading.take(event)
                if asked.listener.gone:
                    return reading.done(CUT)
        if not reading.finish:
            raise _broken(replica, "it ended in the middle of an answer")
    except (httpx.HTTPError, httpx.StreamError) as fault:
        if isinstance(fault, httpx.TransportError) and not isinstance(fault, httpx.ReadTimeout):
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
        yield orjson.loads(data)


def _refused(replica: Replica, model: str, answer: httpx.Response) -> EverloopError:
    """What a server's status says."""
    status, why = answer.status_code, said(answer)
    if status == GONE:
        replica.lost(model)
    if status in REFUSED:
        return InputError("the engine refuses this request", got=f"{status}: {why[:500]}")
    if status in BUSY:
        return BusyError(
            "every engine is busy",
            retry_seconds=_seconds(answer.headers.get("retry-after")),
            do="ask again after the seconds of Retry-After",
        )
    return _broken(replica, f"{status}: {why[:200]}")


def said(answer: httpx.Response) -> str:
    """What a server says went wrong."""
    body = answer.read()[:2000].decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["error"]["message"])
    return body


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
            text=as_text(self.text, joined(self.calls)),
            finish_reason=why,
            prompt_tokens=int(self.usage.get("prompt_tokens") or 0),
            completion_tokens=int(self.usage.get("completion_tokens") or counted),
            logprobs=tuple(self.logprobs),
            first_ms=self.first_ms,
        )
