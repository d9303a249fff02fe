"""Answers in the shape of OpenAI's protocol: whole, or in pieces while they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from fastapi import Request as Call
from fastapi.responses import StreamingResponse

from core.errors import EngineError, EverloopError
from core.records.answers import GenerationDetail, Prediction, Request
from core.records.tool_calls import joined
from core.records.writing import BROKEN, Listener, Piece
from serving.calls import late
from serving.messages.openai import NAME
from serving.protocols.engine_client import EngineClient
from serving.refusals import refusal

END = b"data: [DONE]\n\n"
Entries = Sequence[Mapping[str, Any]]  # tokens and their log-probabilities


@dataclass(frozen=True)
class AnswerForm:
    """How one of the two calls says what was written."""

    whole: str  # the object that it gives
    chunk: str
    message: Callable[[str, list[Any]], dict[str, Any]]  # of a text, and of tool calls
    delta: Callable[[Piece], dict[str, Any]]
    logprobs: Callable[[Entries], dict[str, Any]]


def _message(text: str, calls: list[Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    return {"message": said | ({"content": text or None, "tool_calls": calls} if calls else {})}


def _delta(piece: Piece) -> dict[str, Any]:
    calls = {"tool_calls": list(piece.tool_calls)} if piece.tool_calls else {}
    return {"delta": ({"content": piece.text} if piece.text else {}) | calls}


def _as_lists(tokens: Entries) -> dict[str, Any]:
    """As /v1/completions has them."""
    texts = [str(each["token"]) for each in tokens]
    return {
        "tokens": texts,
        "token_logprobs": [each["logprob"] for each in tokens],
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in each["top_logprobs"]} for each in tokens
        ],
        "text_offset": [sum(map(len, texts[:at])) for at in range(len(texts))],
    }


CHAT = AnswerForm(
    "chat.completion",
    "chat.completion.chunk",
    _message,
    _delta,
    lambda tokens: {"content": list(tokens), "refusal": None},
)
TEXT = AnswerForm(
    "text_completion",
    "text_completion",
    lambda text, _: {"text": text},
    lambda piece: {"text": piece.text},
    _as_lists,
)


@dataclass(eq=False)
class _Choice:
    """One answer, as far as it is written."""

    listener: Listener
    pieces: list[Piece] = field(default_factory=list)
    given: int = 0  # characters that the caller has

    @property
    def calls(self) -> list[dict[str, Any]]:
        return joined([call for piece in self.pieces for call in piece.tool_calls])

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def tokens(self) -> Entries:
        return [token for piece in self.pieces for token in piece.tokens]


class Writers:
    """One call: its answers, and who hears them."""

    def __init__(
        self,
        client: EngineClient,
        call: Call,
        form: AnswerForm,
        requests: Sequence[Request],
        logprobs: bool,
    ) -> None:
        self._client, self._call, self._form, self._logprobs = client, call, form, logprobs
        self._queue: asyncio.Queue[tuple[int, Piece] | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._choices = [_Choice(Listener(self._ear(at))) for at in range(len(requests))]
        self._requests = [
            replace(request, listener=choice.listener)
            for request, choice in zip(requests, self._choices, strict=True)
        ]

    async def whole(self) -> dict[str, Any]:
        """The answers, stored. Raises as `Engine.predict`."""
        try:
            found = await self._client.answers(self._requests, self._call)
        finally:
            self._leave()
        self._check_whole(found)
        return self._frame(self._form.whole, found[0]) | {
            "choices": [self._choice(at, one) for at, one in enumerate(found)],
            "usage": usage(found),
        }

    async def stream(self, usage: bool) -> StreamingResponse:
        """Raises what fails before there is anything to give."""
        seconds = self._client.patience(self._call)
        task = asyncio.ensure_future(self._client.written(self._requests))
        task.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            async with asyncio.timeout(seconds):
                first = await self._queue.get()
        except TimeoutError:
            self._leave()
            _forget(task)
            raise late(seconds) from None
        except asyncio.CancelledError:
            self._leave()
            _forget(task)
            raise
        if first is None:
            task.result()
        events = self._events(first, task, usage)
        return StreamingResponse(events, media_type="text/event-stream", headers=_NOW)

    async def _events(
        self, item: tuple[int, Piece] | None, task: asyncio.Future[list[Prediction]], counted: bool
    ) -> AsyncIterator[bytes]:
        begun: set[int] = set()
        try:
            while item is not None:
                yield self._told(*item, begun)
                item = await self._queue.get()
            for event in self._last(await task, begun, counted):
                yield event
        except EverloopError as fault:  # it is too late for a status
            yield b"data: " + bytes(refusal(self._call.scope["path"], fault).body) + b"\n\n"
        finally:
            self._leave()
            _forget(task)

    def _told(self, at: int, piece: Piece, begun: set[int]) -> bytes:
        choice = self._choices[at]
        choice.given += len(piece.text)
        said = self._form.delta(piece)
        if at not in begun and "delta" in said:
            said["delta"] = {"role": "assistant"} | said["delta"]
        begun.add(at)
        said["logprobs"] = self._form.logprobs(piece.tokens) if piece.tokens else None
        return self._event(at, said, choice.listener.answer_id, choice.listener.version)

    def _last(self, found: list[Prediction], begun: set[int], counted: bool) -> list[bytes]:
        """What comes once all is stored: rests, why each answer ended, and the end."""
        self._check_whole(found)
        events = []
        for at, one in enumerate(found):
            choice, detail = self._choices[at], _detail(one)
            choice.listener.of(one.prediction_id, one.model_version)
            if not choice.calls and (rest := one.output[choice.given :]):
                events.append(self._told(at, Piece(rest), begun))
            ended = self._form.delta(Piece()) | {"finish_reason": detail.finish_reason}
            events.append(self._event(at, ended, one.prediction_id, one.model_version))
        if counted:
            frame = self._frame(self._form.chunk, found[0])
            events.append(_data(frame | {"choices": [], "usage": usage(found)}))
        return [*events, END]

    def _check_whole(self, found: list[Prediction]) -> None:
        """Raises EngineError for an answer whose engine died."""
        for one in found:
            if (detail := _detail(one)).finish_reason == BROKEN:
                raise EngineError(
                    "the engine broke off in the middle of an answer",
                    where=f"prediction_id {one.prediction_id}",
                    got=f"{detail.completion_tokens} tokens, which are stored",
                    do="ask again",
                )

    def _event(self, at: int, said: dict[str, Any], answer_id: str, version: str) -> bytes:
        one = {"index": at, "finish_reason": None, "logprobs": None} | said
        first = self._choices[0].listener.answer_id or answer_id
        frame = self._headed(self._form.chunk, first, version)
        return _data(frame | {"choices": [one | {"prediction_id": answer_id}]})

    def _choice(self, at: int, one: Prediction) -> dict[str, Any]:
        choice = self._choices[at]
        tokens = choice.tokens if self._logprobs else ()
        text = choice.text if choice.calls else one.output
        return self._form.message(text, choice.calls) | {
            "index": at,
            "finish_reason": _detail(one).finish_reason,
            "logprobs": self._form.logprobs(tokens) if self._logprobs else None,
            "prediction_id": one.prediction_id,
            "model": f"{NAME}-{one.model_version}",
        }

    def _frame(self, kind: str, first: Prediction) -> dict[str, Any]:
        return self._headed(kind, first.prediction_id, first.model_version)

    def _headed(self, kind: str, answer_id: str, version: str) -> dict[str, Any]:
        created = int(self._requests[0].timestamp.timestamp())
        model = f"{NAME}-{version}"
        return {"id": answer_id, "object": kind, "created": created, "model": model}

    def _ear(self, at: int) -> Callable[[Piece], None]:
        def hear(piece: Piece) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._took, at, piece)

        return hear

    def _took(self, at: int, piece: Piece) -> None:
        self._choices[at].pieces.append(piece)
        self._queue.put_nowait((at, piece))

    def _leave(self) -> None:
        """Nobody waits any more: what is still being written ends, and is stored as far as it is."""
        for choice in self._choices:
            choice.listener.gone = True


def usage(found: Sequence[Prediction]) -> dict[str, int]:
    read = sum(_detail(one).prompt_tokens for one in found)
    written = sum(_detail(one).completion_tokens for one in found)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _detail(one: Prediction) -> GenerationDetail:
    return one.detail if isinstance(one.detail, GenerationDetail) else GenerationDetail()


def _data(event: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _forget(task: asyncio.Future[Any]) -> None:
    """It goes on and stores what it has; its fault, if any, is nobody's any more."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


_NOW = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy shall gather events
