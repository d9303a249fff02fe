"""A signal's history as a small picture that stands in a line of text: where its lines and dots are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.records.signals import Signal

WIDTH, HEIGHT, EDGE = 160, 36, 3
_Place = Callable[[float], float]


@dataclass(frozen=True)
class Sparkline:
    """SVG paths of the values and of their limit, and (x, y) of each dot."""

    label: str
    line: str
    limit: str
    dots: Sequence[tuple[float, float]]
    size: tuple[int, int] = (WIDTH, HEIGHT)


def sparkline(history: Sequence[Signal], broken: Sequence[bool]) -> Sparkline | None:
    """Values over time, the limit they are held against, and a dot where a rule broke. A window that
    had not enough to say leaves a gap; fewer than two values make no picture."""
    if sum(s.value is not None for s in history) < 2:
        return None
    near, y = _vertical(history)
    first, last = (history[i].window_end for i in (0, -1))
    scale = (WIDTH - 2 * EDGE) / (last - first).total_seconds()
    x = [EDGE + scale * (s.window_end - first).total_seconds() for s in history]
    return Sparkline(
        label=f"{first:%d %b} to {last:%d %b}",
        line=_path(x, [s.value for s in history], y),
        limit=_path(x, [s.baseline if s.baseline in near else None for s in history], y),
        dots=[
            (at, y(s.value))
            for at, s, bad in zip(x, history, broken, strict=True)
            if bad and s.value is not None
        ],
    )


def _vertical(history: Sequence[Signal]) -> tuple[set[float], _Place]:
    """The limits near enough to be drawn, and where a value stands. A far limit flattens the line."""
    values = [s.value for s in history if s.value is not None]
    room = (max(values) - min(values)) or abs(values[0]) or 1.0
    reach = (min(values) - room, max(values) + room)
    near = {b for s in history if (b := s.baseline) is not None and reach[0] <= b <= reach[1]}
    low, high = min([*values, *near]), max([*values, *near])

    def y(value: float) -> float:
        place = (value - low) / (high - low) if high > low else 0.5
        return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * place

    return near, y


def _path(x: Sequence[float], values: Sequence[float | None], y: _Place) -> str:
    """An SVG path that is lifted where there is no value; `h0` shows a value that stands alone."""
    steps, down = [], False
    for at, value in zip(x, values, strict=True):
        if value is not None:
            steps.append(f"L{at:.1f} {y(value):.1f}" if down else f"M{at:.1f} {y(value):.1f}h0")
        down = value is not None
    return "".join(steps)
