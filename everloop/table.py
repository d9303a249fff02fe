"""Rows for a person to read: aligned columns under a header."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Text with one line a row. Numbers stand to the right; a column without any value is left out.

    >>> print(table(["fruit", "kg", "note"], [["apple", 12, ""], ["fig", 3, ""]]))
    fruit  kg
    apple  12
    fig     3
    """
    body = [list(row) for row in rows]
    columns = [(name, [row[i] for row in body]) for i, name in enumerate(header)]
    aligned = [_aligned(name, cells) for name, cells in columns if any(c != "" for c in cells)]
    return "\n".join("  ".join(line).rstrip() for line in zip(*aligned, strict=True))


def _aligned(name: str, cells: list[Any]) -> list[str]:
    texts = [name, *(str(c) for c in cells)]
    width = max(len(t) for t in texts)
    numbers = all(isinstance(c, int | float) for c in cells)
    return [t.rjust(width) if numbers else t.ljust(width) for t in texts]


def shortened(text: str, room: int) -> str:
    """A line in so many characters on a terminal. A pipe or a file gets all of it."""
    return cut(text, room) if sys.stdout.isatty() else text


def cut(text: str, room: int) -> str:
    """
    >>> cut("not enough rows", 8), cut("short", 8)
    ('not eno…', 'short')
    """
    return text if len(text) <= room else f"{text[: room - 1]}…"
