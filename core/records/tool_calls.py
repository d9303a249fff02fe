"""Calls of tools: what a caller offers, what a model writes of them, and how both are kept as text.

Where the chat template of a model knows tools it was trained to write {"name": ..., "arguments": ...},
bare or between <tool_call> and </tool_call>, one after another or in a list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from core.errors import InputError
from core.records.answers import Message

BEGIN, END = "<tool_call>", "</tool_call>"
CALLED = "tool_calls"  # why an answer ends that calls tools


@dataclass(frozen=True)
class Tools:
    """What a caller offers: functions, as the chat template is given them, whether one has to be
    called, and whether several may be."""

    functions: tuple[Mapping[str, Any], ...] = ()
    choice: Any = "auto"
    most: int | None = None  # calls that are taken of an answer

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Tools:
        """Of the fields of a call that are about tools."""
        choice = fields.get("tool_choice") or "auto"
        if choice == "none":
            return cls()
        most = 1 if fields.get("parallel_tool_calls") is False else None
        return cls(tuple(fields.get("tools") or ()), choice, most)

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """Of the call that an answer has to be; None where it may be something else."""
        if not self.functions or self.choice == "auto":
            return None
        named = self.choice["function"]["name"] if isinstance(self.choice, Mapping) else None
        wanted = [f for f in self._described if named in (None, f["name"])]
        return {"anyOf": [_call(f["name"], f.get("parameters") or {}) for f in wanted]}

    def begins(self, text: str) -> int:
        """Where a call may have begun, so that nobody hears of it before it is whole."""
        if not self.functions:
            return len(text)
        if text.lstrip()[:1] in ("{", "["):
            return 0
        parts = (n for n in range(1, len(BEGIN)) if text.endswith(BEGIN[:n]))
        found = text.find(BEGIN)
        return found if found >= 0 else len(text) - max(parts, default=0)

    def calls(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """What an answer says before it calls anything, and its calls as OpenAI streams them. An
        answer that is not such calls and nothing else stays a text."""
        begun = self.begins(text)
        names = {f["name"] for f in self._described}
        said = _values(text[begun:].replace(BEGIN, " ").replace(END, " "))
        if not said or not all(isinstance(each, dict) and each.get("name") in names for each in said):
            return text, []
        return text[:begun].strip(), [_streamed(*each) for each in enumerate(said[: self.most])]

    @property
    def _described(self) -> list[Mapping[str, Any]]:
        return [each["function"] for each in self.functions]


def _call(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    described = {"$id": f"tool:{name}", "type": "object", **parameters}  # its own root for references
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": described},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _values(text: str) -> list[Any]:
    """JSON values that stand one after another, those of a list one by one; none where there is
    something else, too."""
    found: list[Any] = []
    while text := text.strip(" \n\r\t,;"):
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return []
        found += value if isinstance(value, list) else [value]
        text = text[end:]
    return found


def _streamed(at: int, said: Mapping[str, Any]) -> dict[str, Any]:
    arguments = said.get("arguments", said.get("parameters", {}))
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    function = {"name": said["name"], "arguments": written}
    return {"index": at, "id": f"call_{uuid4().hex[:24]}", "type": "function", "function": function}


def for_template(messages: Sequence[Message]) -> list[Message]:
    """Messages whose earlier calls have their arguments as values, which templates expect. Raises
    InputError."""
    return [
        {**m, "tool_calls": [_read(at, call) for call in m["tool_calls"]]} if m.get("tool_calls") else m
        for at, m in enumerate(messages)
    ]


def _read(at: int, call: Any) -> Any:
    try:
        function = call["function"]
        return {**call, "function": {**function, "arguments": json.loads(function["arguments"])}}
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "a call of a tool that cannot be read",
            where=f"messages[{at}].tool_calls",
            got=repr(call)[:200],
            expected='{"type": "function", "function": {"name": ..., "arguments": a text of JSON}}',
        ) from None


def joined(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls of which the pieces came one after another.

    >>> one = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}
    >>> joined([one, {"index": 0, "function": {"arguments": ": 1}"}}])
    [{'id': 'c', 'type': 'function', 'function': {'name': 'f', 'arguments': '{"a": 1}'}}]
    """
    calls: dict[int, dict[str, Any]] = {}
    for part in parts:
        new = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        call = calls.setdefault(part.get("index", 0), new)
        call["id"] = part.get("id") or call["id"]
        said = part.get("function") or {}
        call["function"]["name"] += said.get("name") or ""
        call["function"]["arguments"] += said.get("arguments") or ""
    return list(calls.values())


def as_text(text: str, calls: Sequence[Mapping[str, Any]]) -> str:
    """What is stored of an answer: its text, and below it one call as an object, more as a list.

    >>> as_text("", [{"function": {"name": "f", "arguments": '{"a": 1}'}}])
    '{"name": "f", "arguments": {"a": 1}}'
    >>> as_text("hi", [])
    'hi'
    """
    said = [
        {"name": c["function"]["name"], "arguments": _arguments(c["function"]["arguments"])}
        for c in calls
    ]
    called = json.dumps(said[0] if len(said) == 1 else said, ensure_ascii=False) if said else ""
    return "\n".join(part for part in (text, called) if part)


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
