"""HTTP/1.1 as uvicorn reads it, with a bound on all of a request that is not its body.

uvicorn takes a request line and headers of any length, and adds each piece of a long one to what came
before: a header of 40 MB held the server for five seconds.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 1 << 20  # bytes: request line, headers, trailers, and what chunks need beside their data


class Wire(HttpToolsProtocol):
    """One connection. `Bodies` counts the bytes of bodies, this what is around them."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._around = 0

    def data_received(self, data: bytes) -> None:
        self._around += len(data)
        super().data_received(data)
        if self._around > MOST and not self.transport.is_closing():
            self.send_400_response("The request line and headers are too long.")

    def on_message_begin(self) -> None:
        self._around = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self._around -= len(body)
        super().on_body(body)
