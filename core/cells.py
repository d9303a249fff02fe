"""Values of a file's cells: as text where a column is used, as JSON where it is only passed on."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what no database takes


def decoded(value: Any) -> Any:
    """A cell of a column that is used. Bytes are UTF-8 text; one that is not is a lone surrogate."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def unstorable(text: str) -> str:
    """Why this text cannot be stored, or "". Bytes that are not UTF-8 were read as lone surrogates."""
    if text.isascii() and "\x00" not in text:
        return ""
    found = _UNSTORABLE.search(text)
    if not found:
        return ""
    return "a NUL character" if found.group() == "\x00" else "bytes that are not UTF-8"


def storable(text: str) -> str:
    """The text with the replacement character where something cannot be stored."""
    return _UNSTORABLE.sub("\ufffd", text)


def writable(text: str) -> str:
    """The text with the replacement character where it is not UTF-8."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def plain(value: Any) -> Any:
    """A value as JSON has it, at every depth. What JSON has no word for is null or text.

    >>> plain({"a": [float("nan"), b"\\x00\\xff", (1, float("inf"))]})
    {'a': [None, 'AP8=', [1, None]]}
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {writable(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if value != value else str(value)  # NaT; a time, a decimal


def json_text(value: Any) -> str:
    """A value as JSON, also where it holds what JSON has no word for (`plain`)."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
