"""How much feedback one caller may give in a minute."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from core.ids import hash_user
from serving.protocols.faults import TooManyError
from serving.refusals import refusal

SOURCES = 10_000


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
        fault = TooManyError(
            "too much feedback from one source",
            retry_seconds=wait,
            expected="at most serving.feedback_per_minute of params.yaml",
            do="send it more slowly, after the seconds of Retry-After",
        )
        return await refusal(scope["path"], fault)(scope, receive, send)


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
