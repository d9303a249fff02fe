"""Inputs and answers as tokens: the chat template of the tokenizer, and what fits into the context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.errors import ContextError, InputError, ModelError
from core.models.causal.messages import SYSTEM, as_messages
from core.records.answers import Message
from core.records.tool_calls import for_template

SILENT: Message = {"role": "system", "content": ""}
NO_FUNCTIONS: Sequence[Mapping[str, Any]] = ()
A_FUNCTION = {"type": "function", "function": {"name": "probe_of_tools", "parameters": {}}}


@dataclass(frozen=True, eq=False)
class Prompts:
    """A tokenizer with a chat template, and how many tokens its model can read and write together."""

    tokenizer: Any
    context: int
    where: str  # for errors

    def __post_init__(self) -> None:
        if not self.tokenizer.chat_template:
            raise ModelError(
                "the tokenizer has no chat template",
                where=self.where,
                expected="a model that was trained on chats, or a chat_template.jinja in its folder",
                do="take the model's Instruct version",
            )
        if self.tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer names no token that ends an answer", where=self.where)

    def prompt(self, input: Any, functions: Sequence[Mapping[str, Any]] = NO_FUNCTIONS) -> list[int]:
        """What the model goes on from. Raises ContextError: too long; InputError: no messages."""
        tokens = self.read(input, functions)
        if len(tokens) >= self.context:
            raise ContextError(
                "the prompt is longer than the model's context",
                where=self.where,
                got=f"{len(tokens):,} tokens",
                expected=f"at most {self.context - 1:,}, so that one is left to answer with",
                do="shorten the messages: nothing is cut without a word",
            )
        return tokens

    def read(self, input: Any, functions: Sequence[Mapping[str, Any]] = NO_FUNCTIONS) -> list[int]:
        """The tokens of an input, however many, and of the functions that the answer may call. Raises
        InputError: no messages."""
        messages = for_template(self.messages(input))
        try:
            return self._tokens(self._rendered(messages, functions))
        except Exception as fault:  # each template raises what it likes
            raise InputError(
                "the model's chat template refuses these messages", where=self.where, got=str(fault)
            ) from None

    def messages(self, input: Any) -> list[Message]:
        """What the template is given of an input."""
        messages = as_messages(input)
        if self._wordy and not any(m["role"] in SYSTEM for m in messages):
            return [SILENT, *messages]
        return messages

    def check_tools(self, input: Any, functions: Sequence[Mapping[str, Any]]) -> None:
        """Raises InputError: functions, or earlier calls of some, and a template that drops them."""
        called = any(m.get("tool_calls") for m in for_template(as_messages(input)))
        if (functions or called) and not self._knows_tools:
            raise InputError(
                "the model's chat template knows no tools",
                where="tools" if functions else "messages",
                expected="a model that was trained to call tools",
                do="leave them out, name the functions in a message, or take such a model",
            )

    @cached_property
    def _knows_tools(self) -> bool:
        try:
            return "probe_of_tools" in self._rendered(as_messages("x"), [A_FUNCTION])
        except Exception:  # each template raises what it likes
            return False

    def answer(self, text: str) -> list[int]:
        """A right answer as the model is to write it, with its end."""
        return [*self._tokens(text), self.tokenizer.eos_token_id]

    def text(self, tokens: Sequence[int]) -> str:
        """What the model wrote."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    @cached_property
    def _wordy(self) -> bool:
        """Whether the template adds a system prompt of its own where there is none: some 20 tokens that
        say nothing, before each request and in each row that is learnt. An empty one is shorter."""
        asked = as_messages("x")
        try:
            return len(self._rendered([SILENT, *asked])) < len(self._rendered(asked))
        except Exception:  # a template that knows no system prompt
            return False

    def _rendered(
        self, messages: list[Message], functions: Sequence[Mapping[str, Any]] = NO_FUNCTIONS
    ) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                messages,
                tools=list(functions) or None,
                tokenize=False,
                add_generation_prompt=True,
            )
        )

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
