"""What a command is doing just now: said where it is done, shown by whoever has somebody waiting.

>>> doing("reading texts", 64, 3000, "texts")
>>> now().words()
'reading texts: 64 of 3,000 texts'
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    what: str
    done: int = 0
    total: int | None = None
    unit: str = ""

    def words(self) -> str:
        if self.total is None:
            return self.what
        return f"{self.what}: {self.done:,} of {self.total:,} {self.unit}".rstrip()


STARTING = Step("starting")
_step, _whole = STARTING, STARTING


def doing(what: str, done: int = 0, total: int | None = None, unit: str = "") -> None:
    """Say what is done now, and how much of it is. Costs nothing where nobody looks."""
    global _step
    _step = Step(what, done, total, unit)


def whole(done: int, total: int | None, unit: str) -> None:
    """Say how far all of it is, whatever the step."""
    global _whole
    _whole = Step("", done, total, unit)


def begin() -> None:
    """Another command begins in this process."""
    global _step, _whole
    _step, _whole = STARTING, STARTING


def now() -> Step:
    """The step, with the count of the whole where there is one.

    >>> doing("training", 12, 96, "steps")
    >>> whole(0, 360, "requests")
    >>> now().words()
    'training, 12 of 96 steps: 0 of 360 requests'
    >>> begin()
    """
    if _whole.total is None:
        return _step
    what = _step.words().replace(":", ",", 1) if _step.total else _step.what
    return Step(what, _whole.done, _whole.total, _whole.unit)
