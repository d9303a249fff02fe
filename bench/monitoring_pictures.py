"""The pictures of bench/monitoring.py: delay against false alarms, and what a judgement costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.curves import MISSED, Point
from bench.scale import Cost

LIBRARIES = {
    "everloop": "#c1121f",
    "evidently": "#1d6fb8",
    "alibi-detect": "#2a9d4a",
    "frouros": "#8e5ea2",
    "nannyml": "#d98e04",
}
STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
MOST = 60.0  # false alarms in 60 days: every day
LEAST = 0.02  # stands for none on a logarithmic axis


def draw_detection(
    panels: Mapping[str, Mapping[str, tuple[Sequence[Point], Point | None]]], path: Path
) -> None:
    """A panel a reference policy; a line a detector, the mark its documented default."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2 * len(panels), 6.4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    styles = _styles([name for found in panels.values() for name in found])
    for axis, (title, found) in zip(axes, panels.items(), strict=True):
        _styled(axis, found, styles)
        axis.axvspan(LEAST / 2, 1, color="#2a9d4a", alpha=0.06, lw=0)
        axis.text(LEAST, -0.2, "at most one in 60 days", fontsize=8, color="#2a7d3a", va="bottom")
        axis.set(title=title, xlabel="false alarms in 60 days without drift", xscale="log")
        axis.set_xlim(LEAST * 0.8, MOST * 1.15)
        axis.set_ylim(-0.3, MISSED + 0.25)
        axis.set_xticks([LEAST, 0.1, 1, 10, MOST], ["0", "0.1", "1", "10", "60"])
        axis.minorticks_off()
        axis.grid(alpha=0.25)
    axes[0].set_ylabel(f"days until a drift is noticed (mean; {MISSED}: not within a week)")
    axes[-1].plot([], [], "o", color="grey", label="documented default")
    named = {n: h for a in axes for h, n in zip(*a.get_legend_handles_labels(), strict=True)}
    axes[-1].legend(
        list(named.values()),
        list(named),
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
    )
    figure.savefig(path, dpi=130)


def _styles(names: Sequence[str]) -> dict[str, Any]:
    """A line style a detector, the same in every panel; its library has the colour."""
    of: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        of.setdefault(name.split(":")[0], []).append(name)
    return {n: STYLES[i % len(STYLES)] for one in of.values() for i, n in enumerate(one)}


def _styled(
    axis: Any,
    found: Mapping[str, tuple[Sequence[Point], Point | None]],
    styles: Mapping[str, Any],
) -> None:
    for name, (points, default) in found.items():
        library = name.split(":")[0]
        colour, ours = LIBRARIES[library], library == "everloop"
        width, front = (3.0, 5) if ours else (1.4, 2)
        if points:
            x, y = _envelope(points)
            axis.step(
                x, y, where="post", color=colour, ls=styles[name], lw=width, label=name, zorder=front
            )
        if default is not None:
            mark = {"marker": "*", "ms": 19} if ours else {"marker": "o", "ms": 7}
            place = max(default.false_alarms, LEAST)
            axis.plot(
                place, default.delay, color=colour, mec="white", mew=0.8, zorder=front + 1, **mark
            )


def _envelope(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """The least delay at no more than so many false alarms: a staircase that falls."""
    x, y, least = [LEAST], [float(MISSED)], float(MISSED)
    for p in sorted(points, key=lambda p: (p.false_alarms, p.delay)):
        if p.delay < least:
            least = p.delay
            x.append(max(p.false_alarms, LEAST))
            y.append(least)
    return [*x, MOST], [*y, least]


def draw_scale(found: Mapping[str, tuple[Sequence[Cost], str]], path: Path) -> None:
    """Seconds and MiB over rows; a cross where the next size could not be run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    sides = (("seconds", "seconds"), ("mebibytes", "MiB above the data"))
    axes = figure.subplots(1, 2)
    for axis, (what, title) in zip(axes, sides, strict=True):
        seen: dict[str, int] = {}
        for name, (costs, why) in found.items():
            said = name.replace("_", "-").replace(":", ": ")
            library = said.split(":")[0]
            ours, style = library == "everloop", STYLES[seen.get(library, 0)]
            seen[library] = seen.get(library, 0) + 1
            x, y = (
                [c.rows for c in costs],
                [max(getattr(c, what), 0.1 * (what != "seconds")) for c in costs],
            )
            colour = LIBRARIES[library]
            axis.plot(x, y, "o", ls=style, color=colour, lw=3 if ours else 1.4, ms=4, label=said)
            if why and x:
                axis.plot(x[-1], y[-1], "x", color=colour, ms=11, mew=2.5)
        axis.set(xscale="log", yscale="log", xlabel="rows of 384 on either side", title=title)
        axis.set_xticks([1e3, 1e4, 1e5], ["1,000", "10,000", "100,000"])
        axis.grid(alpha=0.25)
    axes[0].plot(
        [], [], "x", color="grey", ms=9, mew=2.5, ls="", label="no larger size within the limits"
    )
    axes[0].axhline(1, color="#c1121f", lw=0.8, alpha=0.5)
    axes[1].legend(
        *axes[0].get_legend_handles_labels(),
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
    )
    figure.savefig(path, dpi=130)
