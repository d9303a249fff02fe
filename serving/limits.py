"""How much one caller may send: the size of a body, the time it takes to come, feedback a minute."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import BusyError, DataError, EverloopError, LateError
from core.records import hash_user
from serving.refusals import refusal

BODY_SECONDS = 30.0
SOURCES = 10_000


class BodyLimit:
    """Reads the whole body first: an endless or a slow one ends here, no route ever waits for it."""

    def __init__(self, app: ASGIApp, most: int, seconds: float = BODY_SECONDS) -> None:
        self._app, self._most, self._seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (announced := _announced(scope)) == 0:
            return await self._app(scope, receive, send)
        try:
            if announced is not None and announced > self._most:
                raise self._too_big(f"{announced} bytes")
            body = await self._body(receive)
        except EverloopError as fault:
            late = isinstance(fault, LateError)
            headers = {"connection": "close"} if late else {}
            return await refusal(scope["path"], 408 if late else 413, fault, headers)(
                scope, receive, send
            )
        if body is None:  # the caller left; there is nobody to answer
            return None
        return await self._app(scope, _again(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        """Raises LateError when it does not come in time, DataError when it is too big."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while (message := await receive())["type"] == "http.request":
                    body += message.get("body", b"")
                    if len(body) > self._most:
                        raise self._too_big(f"more than {self._most} bytes")
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise LateError(
                "the body did not come in time",
                where="body",
                got=f"{len(body)} bytes of it",
                expected=f"all of it within {self._seconds:g} s",
            ) from None
        return None

    def _too_big(self, got: str) -> DataError:
        return DataError(
            "the body is too big",
            where="body",
            got=got,
            expected=f"at most {self._most} bytes",
            do="send it in several calls, or raise serving.max_body_bytes in params.yaml",
        )


def _announced(scope: Scope) -> int | None:
    """The bytes a call says it will send, 0 when it has no body, None when it does not say how many."""
    length: int | None = 0
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = int(value) if value.isdigit() else None
    return length


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` for a body that has been read already."""
    given = False

    async def first_the_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first_the_body


class Rate:
    """A token bucket for each source; of too many sources the longest silent are forgotten.

    >>> rate = Rate(per_minute=2)
    >>> [rate.take("ann", now=0.0) for _ in range(3)], rate.take("bob", now=0.0)
    ([0.0, 0.0, 30.0], 0.0)
    """

    def __init__(self, per_minute: int, sources: int = SOURCES) -> None:
        self._most, self._sources = per_minute, sources
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, at

    def take(self, source: str, now: float) -> float:
        """0 when the source may go on, else the seconds until it may."""
        left, then = self._buckets.pop(source, (float(self._most), now))
        left = min(self._most, left + (now - then) * self._most / 60)
        self._buckets[source] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._buckets) > self._sources:
            self._buckets.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) * 60 / self._most

    def __len__(self) -> int:
        return len(self._buckets)


class FeedbackLimit:
    """Feedback becomes labels: no source may give more of it than its share."""

    def __init__(self, app: ASGIApp, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._rate, self._clock = app, rate, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/feedback" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        source = source_of(scope)
        wait = self._rate.take(source, self._clock())
        if not wait:
            return await self._app(scope, receive, send)
        fault = BusyError(
            "too much feedback from one source",
            retry_seconds=wait,
            expected="at most serving.feedback_per_minute of params.yaml",
            do="send it more slowly, after the seconds of Retry-After",
        )
        headers = {"retry-after": str(math.ceil(wait))}
        return await refusal(scope["path"], 429, fault, headers)(scope, receive, send)


def caller_of(scope: Scope) -> str:
    """The same as it is stored: an address as a hash of it.

    >>> caller_of({"client": ("127.0.0.1", 9)}), caller_of({"state": {"key": "shop"}})
    ('address afd0982b7ea7968c', 'key shop')
    """
    source = source_of(scope)
    return source if not source or source.startswith("key ") else f"address {hash_user(source)}"


def source_of(scope: Scope) -> str:
    """Who calls: the key's name, else the address. A host has a whole /64 of IPv6: one source.

    >>> source_of({"client": ("2001:db8::1:2:3:4", 9)})
    '2001:db8::'
    """
    if key := scope.get("state", {}).get("key"):
        return f"key {key}"
    host = scope["client"][0] if scope.get("client") else ""
    with suppress(ValueError):
        address = ip_address(host)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
            return str(IPv6Address(int(address) >> 64 << 64))
    return host
