"""Values over time as a picture of characters: one line, or some more with axes and the limit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

BARS = " ▁▂▃▄▅▆▇█"
Values = Sequence[float | None]


def sparkline(values: Values) -> str:
    """One character a value, a blank where there is none, nothing for fewer than two.

    >>> sparkline([1, 2, None, 8]), sparkline([5.0, 5.0]), sparkline([3])
    ('▁▂ █', '▄▄', '')
    """
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return ""
    low, span = min(known), max(known) - min(known)
    if not span:
        return "".join(" " if v is None else BARS[4] for v in values)
    return "".join(" " if v is None else BARS[1 + round(7 * (v - low) / span)] for v in values)


def plot(
    times: Sequence[datetime], values: Values, limits: Values, width: int = 72, height: int = 10
) -> str:
    """Bars over time; `limits` are drawn as a line, over a bar as a double one. Where there are more
    values than columns, a column shows the last of its own."""
    shown = _columns([*zip(values, limits, strict=True)], width - 12)
    known = [x for pair in shown for x in pair if x is not None]
    if not known:
        return "no value to draw"
    low, high = min(known), max(known)
    low, high = (low, high) if high > low else (low - (abs(low) or 1), high)
    wide = min(8, max(1, (width - 12) // len(shown)))
    bars = [_bar(value, limit, low, high, height) for value, limit in shown]
    lines = []
    for row in range(height - 1, -1, -1):
        mark = _number(high) if row == height - 1 else _number(low) if row == 0 else ""
        drawn = "".join(bar[row] * max(1, wide - 1) + " " * (wide > 1) for bar in bars)
        lines.append(f"{mark:>10} │{drawn}".rstrip())
    room = len(shown) * wide
    first, last = f"{times[0]:%Y-%m-%d}", f"{times[-1]:%Y-%m-%d}"
    dates = f"{first}{last:>{room - len(first)}}" if room > 22 else f"{first} to {last}"
    return "\n".join([*lines, f"{'':>10} └{'─' * room}", f"{'':>12}{dates}"])


def _columns(
    pairs: Sequence[tuple[float | None, float | None]], most: int
) -> list[tuple[float | None, float | None]]:
    count = min(len(pairs), most)
    return [pairs[(i + 1) * len(pairs) // count - 1] for i in range(count)]


def _bar(value: float | None, limit: float | None, low: float, high: float, height: int) -> list[str]:
    """One column, from the bottom up. The lowest value still shows."""
    eighths = 8 * height

    def level(x: float) -> int:
        return round((eighths - 1) * (x - low) / (high - low))

    full = -1 if value is None else level(value) + 1
    cells = [BARS[max(0, min(8, full - 8 * row))] for row in range(height)]
    if limit is not None:
        row = min(height - 1, level(limit) // 8)
        cells[row] = "─" if cells[row] == " " else "═"
    return cells


def _number(x: float) -> str:
    return f"{x:.4g}"
