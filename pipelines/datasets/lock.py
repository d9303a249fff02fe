"""One at a time: whoever changes the versions of a workspace holds this lock; others wait."""

from __future__ import annotations

import fcntl
import os
import re
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


def busy(root: Path, fault: Exception, seconds: int) -> DatasetError:
    """Another DVC command is at work for longer than we wait."""
    holder = re.search(r"PID (\d+)", str(fault)) or re.search(r"(\d+)", _text(root / ".dvc/tmp/lock"))
    pid = holder[1] if holder else "unknown"
    command = _text(Path("/proc", pid, "cmdline")).replace("\0", " ").strip()
    return DatasetError(
        "another DVC command is at work in this workspace",
        where=str(root),
        got=f"process {pid}{command and ': '}{command}",
        expected=f"its end within {seconds} s",
        do=f"wait for it, or end it: kill {pid}; then run this again; nothing was lost",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


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
                    got=f"process {_text(path) or 'unknown'}, still busy after {WAIT_SECONDS} s",
                    do="wait for it to end, then again",
                ) from None
            time.sleep(0.05)
