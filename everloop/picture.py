"""The picture of a run: accuracy day by day, looped against frozen, and below it what the loop did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.arrays import Array
from core.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Day = dict[str, Any]  # day (ISO), accuracy, requests
Event = dict[str, Any]  # timestamp (ISO), kind, text

# Okabe and Ito's colours, told apart with any colour vision; every kind has a shape of its own too
LOOP, FROZEN, INK, SOFT = "#0072b2", "#8c8c8c", "#1c1d21", "#6b6e78"
LANES = {
    "drift": ("drift alerts", "v", "#d55e00"),
    "retrain": ("retrains", "o", "#0072b2"),
    "promotion": ("promotions", "^", "#009e73"),
    "rollback": ("rollbacks", "X", "#000000"),
}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "svg.hashsalt": "everloop",  # the same ids in every SVG
    "axes.edgecolor": "#c9c6c0",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def accuracy_picture(
    daily: Sequence[Day], frozen: Sequence[Day], events: Sequence[Event], path: Path, note: str = ""
) -> Path:
    """Draw 1400 x 700 points at `path`, PNG or SVG by its ending. The same run gives the same bytes.

    `daily` and `frozen` are {"day": "2026-01-05", "accuracy": 0.91, "requests": 200}; `frozen` may be
    empty. `events` are {"timestamp": iso, "kind": drift | retrain | promotion | rollback}. `note`
    ends the line under the title.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(14, 7), dpi=100, facecolor="white")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            2, 1, height_ratios=(5, 1.35), hspace=0.06, left=0.1, right=0.875, top=0.84, bottom=0.075
        )
        top = figure.add_subplot(grid[0])
        lane = figure.add_subplot(grid[1], sharex=top)
        figure.text(0.035, 0.94, _finding(daily, frozen), size=21, weight="bold", color=INK)
        figure.text(0.035, 0.892, _facts(daily, events, note), size=13.5, color=SOFT)
        _lines(top, daily, frozen)
        _events(top, lane, events)
        _axes(top, lane, daily, frozen)
        kind = path.suffix.lstrip(".") or "png"
        stamp = {"Date": None} if kind == "svg" else {"Software": None}
        with whole_file(path, durable=False) as half:
            figure.savefig(half, format=kind, metadata=stamp)
    return path


def mean_accuracy(daily: Sequence[Day]) -> float:
    """Share of requests answered right.

    >>> mean_accuracy([{"accuracy": 1.0, "requests": 1}, {"accuracy": 0.5, "requests": 3}])
    0.625
    """
    total = sum(d["requests"] for d in daily)
    return sum(d["accuracy"] * d["requests"] for d in daily) / total if total else 0.0


def smooth(daily: Sequence[Day]) -> Array:
    """Each day with its two neighbours on either side, weighted 1 2 3 2 1 times their requests.

    >>> smooth([{"accuracy": a, "requests": 10} for a in (1.0, 1.0, 0.4)]).round(2).tolist()
    [0.9, 0.83, 0.7]
    """
    weight = np.array([d["requests"] for d in daily], float)
    right = np.array([d["accuracy"] for d in daily], float) * weight
    kernel = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    near = [np.convolve(np.pad(x, 2), kernel, "valid") for x in (right, weight)]
    smoothed: Array = near[0] / np.maximum(near[1], 1e-12)
    return smoothed


def _finding(daily: Sequence[Day], frozen: Sequence[Day]) -> str:
    looped = f"{mean_accuracy(daily):.2f}"
    if not daily:
        return "No requests yet"
    if not frozen:
        return f"{looped} of all answers right"
    return f"{looped} of all answers right with the loop, {mean_accuracy(frozen):.2f} frozen"


def _facts(daily: Sequence[Day], events: Sequence[Event], note: str) -> str:
    days, asked = len(daily), sum(d["requests"] for d in daily)
    facts = [f"{asked:,} requests in {days} day{'s' if days != 1 else ''}"]
    counts = {kind: sum(e["kind"] == kind for e in events) for kind in LANES}
    facts += [f"{n} {LANES[k][0] if n != 1 else LANES[k][0][:-1]}" for k, n in counts.items() if n]
    return "   ·   ".join([*facts, *([note] if note else [])])


def _when(iso: str) -> float:
    """Days since the year 1, in the time's own zone: the scale of the horizontal axis."""
    moment = datetime.fromisoformat(iso).replace(tzinfo=None)
    return (moment - datetime.min) / timedelta(days=1)


def _lines(axes: Axes, daily: Sequence[Day], frozen: Sequence[Day]) -> None:
    ends: list[tuple[float, str, str]] = []
    for days, colour, name in ((frozen, FROZEN, "frozen"), (daily, LOOP, "with the loop")):
        if not days:
            continue
        x, line = [_when(d["day"]) for d in days], smooth(days)
        axes.plot(x, [d["accuracy"] for d in days], "o", color=colour, alpha=0.3, ms=4.5, mew=0)
        axes.plot(x, line, color=colour, lw=2.8, solid_capstyle="round")
        if len(days) == 1:
            axes.plot(x, line, "o", color=colour, ms=8)
        ends.append((float(line[-1]), name, colour))
    low, high = _limits(daily, frozen)
    apart = 0.055 * (high - low)
    if len(ends) == 2 and abs(ends[0][0] - ends[1][0]) < apart:
        middle, sign = (ends[0][0] + ends[1][0]) / 2, 1 if ends[1][0] >= ends[0][0] else -1
        ends = [(middle - sign * apart / 2, *ends[0][1:]), (middle + sign * apart / 2, *ends[1][1:])]
    for y, name, colour in ends:
        place = axes.get_yaxis_transform()
        axes.text(1.012, y, name, transform=place, color=colour, weight="bold", va="center")


def _limits(daily: Sequence[Day], frozen: Sequence[Day]) -> tuple[float, float]:
    """From a round tenth below the lowest point up to 1."""
    lowest = min((d["accuracy"] for d in (*daily, *frozen)), default=0.0)
    return max(0.0, float(np.floor(lowest * 10 - 0.05)) / 10), 1.0


def _events(top: Axes, lane: Axes, events: Sequence[Event]) -> None:
    for row, (kind, (_, marker, colour)) in enumerate(LANES.items()):
        when = [_when(e["timestamp"]) for e in events if e["kind"] == kind]
        lane.plot(when, [row] * len(when), marker, color=colour, ms=9, mew=0, alpha=0.9, clip_on=False)
        if kind == "drift":
            for moment in when:
                top.axvline(moment, color=colour, lw=1, ls=(0, (2, 3)), alpha=0.55, zorder=0)


def _axes(top: Axes, lane: Axes, daily: Sequence[Day], frozen: Sequence[Day]) -> None:
    from matplotlib.ticker import FuncFormatter

    low, high = _limits(daily, frozen)
    top.set_ylim(low, high + 0.02 * (high - low))
    top.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    top.set_ylabel("answers right, each day", color=SOFT, labelpad=12)
    top.grid(axis="y", color="#ece9e4", lw=1)
    top.tick_params(labelbottom=False, length=0)
    lane.set_ylim(len(LANES) - 0.4, -0.6)
    lane.set_yticks(range(len(LANES)), [name for name, _, _ in LANES.values()])
    for label, (_, _, colour) in zip(lane.get_yticklabels(), LANES.values(), strict=True):
        label.set_color(colour)
    lane.tick_params(axis="y", length=0, pad=10)
    lane.grid(axis="y", color="#ece9e4", lw=1)
    for axes in (top, lane):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_axisbelow(True)
    top.spines["bottom"].set_visible(False)
    _calendar(lane, sorted(_when(d["day"]) for d in (*daily, *frozen)))


def _calendar(axes: Axes, days: Sequence[float]) -> None:
    """At most ten dates, whole days apart."""
    if not days:
        return
    span = round(days[-1] - days[0])
    margin = max(0.5, 0.015 * span)
    step = next((s for s in (1, 2, 7, 14, 30, 60) if span / s < 10), 90 * (1 + span // 900))
    ticks = [days[0] + d for d in range(0, span + 1, step)]
    dates = [datetime.min + timedelta(days=t) for t in ticks]
    axes.set_xlim(days[0] - margin, days[-1] + margin)
    axes.set_xticks(ticks, [f"{d.day} {d:%b}" for d in dates])
