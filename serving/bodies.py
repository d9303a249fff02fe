"""A call's body, whole and unpacked before a route sees it; how large and how slow it may be."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import EverloopError, LateError
from serving.codings import coding_of, unpack
from serving.memory import Memory
from serving.protocols.faults import TooBigError
from serving.reading import aside
from serving.refusals import refusal

BODY_SECONDS = 30.0
LARGE = 1 << 18  # bytes; what such calls needed is given back


class Bodies:
    """Reads the whole body first: an endless or a slow one ends here, no route ever waits for it."""

    def __init__(self, app: ASGIApp, most: int, seconds: float = BODY_SECONDS) -> None:
        self._app, self._most, self._seconds = app, most, seconds
        self._memory = Memory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if (announced := _announced(scope)) == 0:  # nor does it wait whether the caller is still there
            return await self._app(scope, _again(b"", receive), send)
        try:
            body = await self._unpacked(scope, receive, announced)
        except EverloopError as fault:
            late = isinstance(fault, LateError)
            how = (408, {"connection": "close"}) if late else ()
            return await refusal(scope["path"], fault, *how)(scope, receive, send)
        if body is not None:  # else the caller left, and there is nobody to answer
            await self._app(scope, _again(body, receive), send)
            if len(body) > LARGE:
                self._memory.used()
        return None

    async def _unpacked(self, scope: Scope, receive: Receive, announced: int | None) -> bytes | None:
        """The body without its coding. Raises EverloopError for one that cannot be had."""
        if announced is not None and announced > self._most:
            raise self._too_big(f"{announced} bytes")
        coding = coding_of(_header(scope, b"content-encoding"))
        body = await self._body(receive)
        if body and coding:
            body = await aside(unpack, body, coding, self._most)
        return body

    async def _body(self, receive: Receive) -> bytes | None:
        """Raises LateError when it does not come in time, TooBigError when it is too big."""
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

    def _too_big(self, got: str) -> TooBigError:
        return TooBigError(
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
            length = int(value) if value.isdigit() and len(value) < 20 else None
    return length


def _header(scope: Scope, name: bytes) -> str:
    """A header's values in one line, as HTTP says they are to be read."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


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
