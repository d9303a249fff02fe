"""Calls of tools that a model writes, as OpenAI streams them and as one text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


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


def as_text(calls: Sequence[Mapping[str, Any]]) -> str:
    """What is stored of them as the answer: one call as an object, more as a list.

    >>> as_text([{"function": {"name": "f", "arguments": '{"a": 1}'}}])
    '{"name": "f", "arguments": {"a": 1}}'
    """
    said = [
        {"name": c["function"]["name"], "arguments": _arguments(c["function"]["arguments"])}
        for c in calls
    ]
    return json.dumps(said[0] if len(said) == 1 else said, ensure_ascii=False) if said else ""


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
