"""Memory that large calls needed goes back to the system.

The C library keeps what is freed in case it is needed again. After some calls of a thousand long texts
that was a fifth of the server's memory, for as long as it ran.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress

from serving.reading import aside

SECONDS = 5.0


def trim() -> None:
    """Give back what is free, where the C library can (glibc): some 20 ms for a gigabyte."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Memory:
    """Trims a little after large calls, at most every so many seconds, off the event loop."""

    def __init__(self, seconds: float = SECONDS, trim: Callable[[], None] = trim) -> None:
        self._seconds, self._trim = seconds, trim
        self._soon: asyncio.Task[None] | None = None

    def used(self) -> None:
        """A large call has ended."""
        if self._soon is None or self._soon.done():
            self._soon = asyncio.get_running_loop().create_task(self._later())

    async def _later(self) -> None:
        await asyncio.sleep(self._seconds)
        await aside(self._trim)
