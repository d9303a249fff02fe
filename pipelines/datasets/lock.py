"""One at a time: whoever changes the versions of a workspace holds this lock; others wait."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import DatasetError

WAIT_SECONDS = 600


@contextmanager
def held(path: Path, clear: Callable[[], None]) -> Iterator[IO[str]]:
    """Hold the lock file at `path`. `clear` is called first if its last holder was killed."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _wait(file, path)
        file.seek(0)
        if file.read():
            clear()
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield file
        finally:
            file.truncate(0)


def _wait(file: IO[str], path: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DatasetError(
                    "another process is at work on the versions here",
                    where=str(path.parent.parent),
                    got=f"still busy after {WAIT_SECONDS} s",
                    do="wait for it to end, then again",
                ) from None
            time.sleep(0.05)
