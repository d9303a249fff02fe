"""What cannot be answered, as a status and in words; each protocol puts it in a shape of its own."""

from __future__ import annotations

import math
import re
from itertools import islice
from typing import Any

from pydantic import ValidationError

from core.errors import (
    AccessError,
    BusyError,
    DataError,
    EngineError,
    EverloopError,
    InputError,
    LabelError,
    LateError,
    ModelError,
    StoreError,
)

LONGEST = 80  # characters shown of what a caller sent
ITEMS, DEEPEST = 12, 3  # shown of a list, and of lists in lists
MOST_FAULTS = 100
PLACE = re.compile(
    r"""(["'])(?:[a-z][\w+.-]*:)?/(?!v\d/).+?\1  # quoted, perhaps with spaces
    | (?:\b[a-z][\w+.-]*:/{1,4}|(?<![\w/.)])/(?!v\d/))[^\s/'"]+/[^\s'",;]*""",
    re.VERBOSE,
)
SEE = "see /docs for the shape of this call"
UNION_TAGS = ("one text", "many texts", "list[str]", "list[list[str]]")  # pydantic's, not a caller's


class NotFoundError(DataError):
    """Something was named that is not there."""


class TooManyError(BusyError):
    """One source asks more than its share."""


class MediaTypeError(DataError):
    """A body in a format, or an encoding, that is not read here."""


class TooBigError(DataError):
    """A body of more bytes than one call may have."""


def status(fault: EverloopError, mend: int) -> int:
    """The HTTP status; `mend` is the protocol's own for a request that has to be mended."""
    codes = {
        NotFoundError: 404,
        MediaTypeError: 415,
        TooBigError: 413,
        DataError: mend,
        InputError: mend,
        EngineError: 502,
        LabelError: 409,
        AccessError: 403,
        TooManyError: 429,
        BusyError: 503,
        StoreError: 503,
        ModelError: 503,
        LateError: 504,
    }
    return next((code for kind, code in codes.items() if isinstance(fault, kind)), 500)


def for_caller(fault: EverloopError, status: int) -> EverloopError:
    """What a caller hears: of a fault of ours everything but where our files and databases are."""
    if status < 500:
        return fault
    where = "" if "/" in fault.where else fault.where
    told = {name: hidden(getattr(fault, name)) for name in ("got", "expected", "do")}
    return EverloopError(hidden(fault.what), where=where, **told)


def hidden(text: str) -> str:
    """A text without paths and addresses of this machine; those of our own calls stay.

    >>> hidden("no file '/srv/my shop/a'; sqlite:////srv/a.db is gone: ask /v1/label/setup, /ready")
    'no file (a path of the server); (a path of the server) is gone: ask /v1/label/setup, /ready'
    """
    return PLACE.sub("(a path of the server)", text)


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
    parts = [("at", short(fault.where)), ("got", short(fault.got)), ("expected", fault.expected)]
    told = [f"{name} {text}" for name, text in parts if text]
    return "; ".join([fault.what, *told, *([fault.do] if fault.do else [])])


def short(text: str) -> str:
    """What a caller sent, short and in letters that any answer can carry."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 3] + "..."


def quoted(value: Any, depth: int = 0) -> str:
    """The begin of what `ascii` says of a value, at the cost of what is shown and not of the value.

    >>> quoted(["a" * 10**6] * 10**6)[:20], quoted({"a": [1.5, None]})
    ("['aaaaaaaaaaaaaaaaaa", "{'a': [1.5, None]}")
    """
    if isinstance(value, str | bytes):
        return ascii(value[:LONGEST])
    if isinstance(value, dict) and depth < DEEPEST:
        pairs = islice(value.items(), ITEMS)
        shown = [f"{quoted(k, DEEPEST)}: {quoted(v, depth + 1)}" for k, v in pairs]
        return "{" + ", ".join(shown + ["..."] * (len(value) > ITEMS)) + "}"
    if isinstance(value, list) and depth < DEEPEST:
        shown = [quoted(v, depth + 1) for v in value[:ITEMS]]
        return "[" + ", ".join(shown + ["..."] * (len(value) > ITEMS)) + "]"
    return ascii(value) if isinstance(value, float | int | None) else type(value).__name__


def too_many(got: int | str, most: int) -> DataError:
    """A call with more items than one may have."""
    return DataError(
        "too many inputs in one call",
        where="inputs",
        got=str(got),
        expected=f"at most {most}",
        do="send them in several calls, or raise serving.max_inputs in params.yaml",
    )


def not_taken(fault: ValidationError) -> DataError:
    """The first of pydantic's faults, in our words."""
    if fault.error_count() > MOST_FAULTS:  # to list them costs more than to find them
        return DataError(
            "this body has too many faults to name one",
            where="body",
            got=f"{fault.error_count()} faults",
            expected="the shape of this call",
            do=SEE,
        )
    error = fault.errors(include_url=False)[0]
    path = [p for p in error["loc"] if p not in UNION_TAGS]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "body"
    kind, message, got = error["type"], str(error["msg"]), quoted(error["input"])
    if kind == "missing":
        expected = f"a value for {short(where)}"
        return DataError("a field is missing", where=where, got="nothing", expected=expected, do=SEE)
    if kind == "extra_forbidden":
        expected = "only the fields named in /docs"
        return DataError("unknown field", where=where, got=got, expected=expected, do=SEE)
    if kind == "json_invalid":
        reason = message.removeprefix("Invalid JSON: ")
        return DataError("the body is not JSON", where="body", got=reason, expected="JSON", do=SEE)
    if kind in ("model_type", "model_attributes_type"):
        expected = 'an object such as {"text": "my card?"}'
    else:
        expected = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return DataError("this value cannot be taken", where=where, got=got, expected=expected, do=SEE)
