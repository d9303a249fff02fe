"""What a model that writes is asked: a text, or the messages of a chat."""

from __future__ import annotations

from typing import Any

from core.errors import InputError
from core.records.answers import Message

SYSTEM = ("system", "developer")
ROLES = (*SYSTEM, "user", "assistant", "tool")


def as_messages(input: Any) -> list[Message]:
    """The messages of an input; a text is one message of a user. Raises InputError.

    >>> as_messages("hi")
    [{'role': 'user', 'content': 'hi'}]
    """
    if isinstance(input, str):
        return [{"role": "user", "content": input}]
    if not isinstance(input, (list, tuple)) or not input:
        raise InputError(
            "no message to answer",
            where="messages",
            got=repr(input)[:80],
            expected="a text, or messages",
        )
    for at, message in enumerate(input):
        role = message.get("role") if isinstance(message, dict) else message
        if role not in ROLES:
            raise InputError(
                "a role that nobody knows",
                where=f"messages[{at}]",
                got=repr(role)[:80],
                expected=", ".join(ROLES),
            )
    return [{**message, "content": content(message)} for message in input]


def spoken(input: Any) -> str:
    """The text of an input that is embedded: its messages without those of the system, a line each.

    >>> spoken([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}])
    'hi'
    """
    return "\n".join(str(m["content"]) for m in as_messages(input) if m["role"] not in SYSTEM)


def content(message: Message) -> str:
    """The text of a message, or of its parts. Raises InputError: one that is no text."""
    parts = message.get("content")
    return "\n".join(map(_part, parts)) if isinstance(parts, list) else str(parts or "")


def _part(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise InputError(
            "a part of a message that is no text",
            where="messages",
            got=repr(part)[:80],
            expected='{"type": "text", "text": ...}',
        )
    return text
