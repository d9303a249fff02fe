"""Callers and the texts they wait for: a call may bring many texts, a text may have many callers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import EverloopError, LateError
from core.records.answers import Clean, Prediction
from serving.batcher import Text
from serving.gen_ai import span_of
from serving.tracing import record

if TYPE_CHECKING:
    from opentelemetry.context import Context

Outcome = Prediction | EverloopError


@dataclass(eq=False)
class Call:
    """A caller who waits for n answers."""

    answered: asyncio.Future[list[Prediction]]
    found: list[Prediction | None]
    left: int

    def give(self, slot: int, outcome: Outcome) -> None:
        if self.answered.done():  # it was late, or another of its texts failed
            return
        if isinstance(outcome, EverloopError):
            self.answered.set_exception(outcome)
            return
        self.found[slot] = outcome
        self.left -= 1
        if not self.left:
            self.answered.set_result([p for p in self.found if p is not None])

    def late(self, seconds: float) -> None:
        if not self.answered.done():
            self.answered.set_exception(late(seconds))


@dataclass(eq=False)
class Waiting(Text):
    """A text in the engine: who waits for it, and on which loop."""

    loop: asyncio.AbstractEventLoop = field(kw_only=True)
    callers: list[tuple[Call, int]] = field(kw_only=True)
    trace: Context | None = None  # the span of the call that brought it


def late(seconds: float) -> LateError:
    return LateError(
        "the answer was not ready in time",
        got=f"{seconds * 1000:.0f} ms are over",
        do="give it more time, or ask again when the server has less to do",
    )


def trace_answers(
    texts: Iterable[Waiting],
    rows: Iterable[Prediction],
    span: tuple[int, int],
    clean: Clean | None,
) -> None:
    """A span for each answer that was written, inside the call that brought its text; with `clean`
    what was asked and said, too."""
    given = {r.request_id: r for r in rows if r.variant != "shadow"}
    for text in texts:
        answer = given[text.request.request_id]
        told = span_of(text.request, answer, clean) if text.trace is not None else None
        if told is not None:
            record(told[0], text.trace, *span, told[1])


def trace(texts: Iterable[Waiting], name: str, start: int, end: int) -> None:
    """A span inside each call that is traced, of `time.time_ns()` to `time.time_ns()`."""
    for parent in {id(t.trace): t.trace for t in texts if t.trace is not None}.values():
        record(name, parent, start, end)
