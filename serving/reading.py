"""Reading bodies at a cost that their size bounds, and away from the event loop when they are big.

A body of 4 MB can hold a million values, and each would become a Python object before anybody counts
them. So values are counted first (`values`), lists stop at the most a call may have, and one thread
reads all big bodies, one after another: whoever asks a small thing meanwhile does not wait for them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
from fastapi import Request as Call
from pydantic import TypeAdapter, ValidationError

from core.errors import DataError
from serving.protocols.faults import MediaTypeError, not_taken

T = TypeVar("T")
SMALL = 1 << 15  # bytes; a body like this is read on the event loop in a few milliseconds at worst
VALUES = 128  # of one item of a call: its fields, segments, columns
FEWEST = 1 << 17  # values that any body may have
BOM = b"\xef\xbb\xbf"
JSON = "application/json"
CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]*)""", re.IGNORECASE)
_reader = ThreadPoolExecutor(1, "reader")


def media_type(call: Call, *taken: str) -> str:
    """The content type of a call, one of `taken`, or any where none is named; its text is in UTF-8.

    Raises MediaTypeError for another.
    """
    said = call.headers.get("content-type", "")
    if said in taken:
        return said
    kind, _, more = said.partition(";")
    kind, charset = kind.strip().lower(), CHARSET.search(more)
    if (kind in taken or not taken) and (not charset or charset[1].lower() in ("utf-8", "utf8")):
        return kind
    expected = " or ".join(taken)
    raise MediaTypeError(
        "this content type is not read here",
        where="header content-type",
        got=ascii(said),
        expected=f"{expected}, in UTF-8" if taken else "text in UTF-8",
        do=f"send the header content-type: {taken[0]}" if taken else "",
    )


async def aside(work: Callable[..., T], *given: Any) -> T:
    """Do this in the thread for big bodies."""
    return await asyncio.get_running_loop().run_in_executor(_reader, partial(work, *given))


async def read(shape: TypeAdapter[T], body: bytes, items: int = 1) -> T:
    """The JSON of a body with at most so many items. Raises DataError that names the first fault."""
    if len(body) <= SMALL:
        return parse(shape, body, items)
    return await aside(parse, shape, body, items)


def parse(shape: TypeAdapter[T], body: bytes, items: int) -> T:
    """As `read`, here and now."""
    most = max(FEWEST, items * VALUES)
    if len(body) > 2 * most and (found := values(body, most)) > most:
        raise DataError(
            "too many values in one body",
            where="body",
            got=str(found),
            expected=f"at most {most}",
            do="send it in several calls, without fields that are not needed",
        )
    try:
        return shape.validate_json(body.removeprefix(BOM), context={"items": items})
    except ValidationError as fault:
        raise not_taken(fault) from None


def values(body: bytes, enough: int = 0) -> int:
    """How many values a JSON body can have at most, without reading it: commas and brackets outside
    of its strings. Where `enough` is more than all of them, those in strings are counted too.

    >>> values(b'{"a, b": [1, "]", "{"]}'), values(b"[]", enough=10)
    (5, 2)
    """
    rough = 1 + sum(body.count(sign) for sign in (b",", b"[", b"{"))
    if rough <= enough:
        return rough
    plain = body.replace(b"\\\\", b"__").replace(b'\\"', b"__")  # no escapes: each quote is a real one
    signs = np.frombuffer(plain, np.uint8)
    outside = np.cumsum(signs == ord('"'), dtype=np.uint8) & 1 == 0
    parts = (signs == ord(",")) | (signs == ord("[")) | (signs == ord("{"))
    return 1 + int(np.count_nonzero(parts & outside))
