"""Answers held to a JSON Schema: which tokens may come next, as llguidance says.

The likeliest of these is taken, or one is drawn from them. So an answer that ends by itself is JSON
that keeps to its schema; one that runs out of tokens is the beginning of such JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from core.errors import InputError

OBJECT = {"type": "object"}  # what `json_object` asks for
SPACE = r"[ \n\r\t]{0,16}"  # without a bound a small model writes only spaces


def vocabulary(tokenizer: Any, ends: Collection[int]) -> Any:
    """A tokenizer as llguidance reads it; `ends` are the tokens that end an answer. Half a second."""
    from llguidance.hf import from_tokenizer

    return from_tokenizer(tokenizer, eos_token=sorted(ends))


def schema_of(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The JSON Schema that a `response_format` of OpenAI's protocol asks for; None for any text.

    >>> schema_of({"type": "json_object"}), schema_of({"type": "text"}), schema_of(None)
    ({'type': 'object'}, None, None)
    """
    wanted = response_format or {}
    if wanted.get("type") == "json_schema":
        schema: Mapping[str, Any] = wanted["json_schema"]["schema"]
        return schema
    return OBJECT if wanted.get("type") == "json_object" else None


def as_format(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A JSON Schema as a `response_format`."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


class Constraint:
    """How far one answer is. Raises InputError: a schema with something that llguidance cannot do."""

    def __init__(self, vocabulary: Any, schema: Mapping[str, Any]) -> None:
        from llguidance import LLMatcher

        form = {**schema, "x-guidance": {"whitespace_pattern": SPACE}}
        grammar = LLMatcher.grammar_from_json_schema(form)
        self._at = LLMatcher(vocabulary, grammar, log_level=0)
        if self._at.is_error():
            raise InputError(
                "the local engine cannot hold an answer to this JSON Schema",
                where="response_format",
                got=self._at.get_error(),
                expected="keywords that llguidance knows",
                do="leave the keyword out, or set serving.engine to the URL of an engine that can",
            )

    def allowed(self, width: int) -> Any:
        """Which of `width` tokens may come next, as a torch index. None of them where it failed."""
        import torch

        bits = np.frombuffer(self._at.compute_bitmask(), np.uint8)
        return torch.from_numpy(np.flatnonzero(np.unpackbits(bits, bitorder="little")[:width]))

    def take(self, token: int) -> None:
        self._at.consume_token(token)

    @property
    def whole(self) -> bool:
        """Nothing may follow."""
        return bool(self._at.is_stopped()) and not self.failed

    @property
    def failed(self) -> bool:
        """It grew too complex to go on."""
        return bool(self._at.is_error())
