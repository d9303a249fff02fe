"""What cannot be answered, as a status and in words; each protocol puts it in a shape of its own."""

from __future__ import annotations

import math

from pydantic import ValidationError

from core.errors import (
    AccessError,
    BusyError,
    DataError,
    EverloopError,
    LabelError,
    LateError,
    ModelError,
    StoreError,
)

LONGEST = 80  # characters shown of what a caller sent
UNION_TAGS = ("one text", "many texts", "list[str]", "list[list[str]]")  # pydantic's, not a caller's


class NotFoundError(DataError):
    """Something was named that is not there."""


class TooManyError(BusyError):
    """One source asks more than its share."""


class MediaTypeError(DataError):
    """A body in a format, or an encoding, that is not read here."""


def status(fault: EverloopError, mend: int) -> int:
    """The HTTP status; `mend` is the protocol's own for a request that has to be mended."""
    codes = {
        NotFoundError: 404,
        MediaTypeError: 415,
        DataError: mend,
        LabelError: 409,
        AccessError: 403,
        TooManyError: 429,
        BusyError: 503,
        StoreError: 503,
        ModelError: 503,
        LateError: 504,
    }
    return next((code for kind, code in codes.items() if isinstance(fault, kind)), 500)


def headers(fault: EverloopError) -> dict[str, str]:
    """When to ask again, where that is known: whole seconds, as HTTP wants them."""
    if not isinstance(fault, BusyError):
        return {}
    return {"Retry-After": str(max(1, math.ceil(fault.retry_seconds)))}


def sentence(fault: EverloopError) -> str:
    """The fault in one line, for a protocol that has one place for it.

    >>> sentence(DataError("too many texts", where="inputs", got="9", expected="at most 3", do="split"))
    'too many texts; at inputs; got 9; expected at most 3; split'
    """
    parts = [("at", fault.where), ("got", short(fault.got)), ("expected", fault.expected)]
    told = [f"{name} {text}" for name, text in parts if text]
    return "; ".join([fault.what, *told, *([fault.do] if fault.do else [])])


def short(text: str) -> str:
    """What a caller sent, short and in letters that any answer can carry."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 3] + "..."


def not_taken(fault: ValidationError) -> DataError:
    """The first of pydantic's faults, in our words."""
    error = fault.errors(include_url=False)[0]
    path = [p for p in error["loc"] if p not in UNION_TAGS]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "body"
    kind, message, got = error["type"], str(error["msg"]), ascii(error["input"])
    do = "see /docs for the shape of this call"
    if kind == "missing":
        expected = f"a value for {where}"
        return DataError("a field is missing", where=where, got="nothing", expected=expected, do=do)
    if kind == "extra_forbidden":
        expected = "only the fields named in /docs"
        return DataError("unknown field", where=where, got=got, expected=expected, do=do)
    if kind == "json_invalid":
        reason = message.removeprefix("Invalid JSON: ")
        return DataError("the body is not JSON", where="body", got=reason, expected="JSON", do=do)
    if kind in ("model_type", "model_attributes_type"):
        expected = 'an object such as {"text": "my card?"}'
    else:
        expected = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return DataError("this value cannot be taken", where=where, got=got, expected=expected, do=do)
