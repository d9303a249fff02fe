"""How an answer is to be written, and what is heard of it while it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

CUT = "cancelled"  # why an answer ends that nobody waits for any more
BROKEN = "error"  # ... whose engine died while it wrote
UNFINISHED = (CUT, BROKEN)  # counted and shown, but nothing is judged by them, or learnt


@dataclass(frozen=True)
class Decoding:
    """What a caller says. Where nothing is said the likeliest answer is written: it was tested."""

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()  # texts that end an answer, and are no part of it
    top_logprobs: int | None = None  # alternatives to hear of with each token; None: of none of them
    response_format: Mapping[str, Any] | None = None  # as OpenAI's protocol has it
    tools: Mapping[str, Any] = field(default_factory=dict)  # the fields of a call that are about tools

    def another(self, at: int) -> Decoding:
        """For answer `at` of several to one input: drawn in another way."""
        return self if self.seed is None else replace(self, seed=self.seed + at)

    def with_tools(self, tools: Mapping[str, Any]) -> Decoding:
        return replace(self, tools=tools)


@dataclass(frozen=True)
class Piece:
    """Some of an answer, as soon as it is written."""

    text: str = ""
    tokens: tuple[Mapping[str, Any], ...] = ()  # with their log-probabilities, as OpenAI has them
    tool_calls: tuple[Mapping[str, Any], ...] = ()  # as OpenAI streams them


class Listener:
    """Hears an answer while it is written, and may leave: then no more is written. `hear` is called by
    whoever writes, in a thread of its own."""

    def __init__(self, hear: Callable[[Piece], None] | None = None) -> None:
        self._hear = hear
        self.heard = False  # a piece was given
        self.gone = False
        self.answer_id = self.version = ""  # of what it hears

    @property
    def hears(self) -> bool:
        """Somebody listens."""
        return self._hear is not None

    def of(self, answer_id: str, version: str) -> None:
        """Whose answer it is about to hear."""
        self.answer_id, self.version = answer_id, version

    def say(self, piece: Piece) -> None:
        if not self.gone:
            self.heard = True
            if self._hear:
                self._hear(piece)


@dataclass(frozen=True, eq=False)
class Prompted:
    """An input of a model that writes, and how."""

    input: Any  # a text, or messages
    how: Decoding = Decoding()
    listener: Listener = field(default_factory=Listener)

    @classmethod
    def of(cls, input: Any) -> Prompted:
        return input if isinstance(input, Prompted) else cls(input)


@dataclass(frozen=True)
class Completion:
    """What was written to one input."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[float, ...] = ()  # of each token, also one that ends it; () where nobody says
    first_ms: float | None = None
