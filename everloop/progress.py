"""Whoever waits longer than two seconds is told what for: a bar on a terminal, lines in a pipe.

All of it goes to stderr. Commands say nothing themselves: `core.progress` has what they do.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from core import progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

AFTER = 2.0  # seconds that need no word
BEAT = 30.0  # seconds after which a step that goes on is told again
_shown: list[Display] = []


class Display:
    """A thread that looks at what is done and tells it, from AFTER on."""

    def __init__(self, after: float) -> None:
        self._began, self._after = time.monotonic(), after
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Nothing is shown from now on."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        if self._over.wait(self._after):
            return
        if sys.stderr.isatty():
            self._draw()
        else:
            self._write()

    def _draw(self) -> None:
        with _bar() as bar:
            task = bar.add_task(progress.now().what, total=None, unit="")
            while True:
                step = progress.now()
                bar.update(task, description=step.what, completed=step.done, total=step.total)
                bar.update(task, unit=f"{step.done:,}/{step.total:,} {step.unit}" if step.total else "")
                if self._over.wait(0.1):
                    return

    def _write(self) -> None:
        told, at = "", float("-inf")
        while True:
            step, now = progress.now(), time.monotonic()
            new = step.what != told and not step.total  # what is counted is told by and by
            if now - at >= (self._after if new else BEAT):
                sys.stderr.write(f"{step.words()} ({now - self._began:.0f} s)\n")
                sys.stderr.flush()
                told, at = step.what, now
            if self._over.wait(0.1):
                return


def _bar() -> Progress:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
    )
    return Progress(
        *shown,
        console=console(),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file must not come here
    )


@cache
def console() -> Console:
    """The stderr of this process; what is printed there stays clear of the bar."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def shown() -> Iterator[None]:
    """While the block lasts, what it does is told."""
    progress.begin()
    _shown.append(Display(AFTER))
    try:
        yield
    finally:
        over()


def over() -> None:
    """Stop telling: a server that says so itself, or a question to the user, comes next."""
    while _shown:
        _shown.pop().end()
