"""One picture: throughput and p99 of every server over the number of callers."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any


def draw(measured: dict[str, dict[int, list[dict[str, Any]]]], path: Path) -> None:
    """Medians of the rounds, with their range as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, what, title in zip(
        figure.subplots(1, 2), ("rate", "p99"), ("answers a second", "99th percentile, ms"), strict=True
    ):
        for name, by in measured.items():
            callers = sorted(by)
            values = [[r[what] for r in by[c]] for c in callers]
            middle = [median(v) for v in values]
            below = [m - min(v) for m, v in zip(middle, values, strict=True)]
            above = [max(v) - m for m, v in zip(middle, values, strict=True)]
            axis.errorbar(callers, middle, yerr=[below, above], marker="o", capsize=2, label=name)
        axis.set(title=title, xlabel="callers", xscale="log", yscale="log")
        axis.set_xticks([1, 8, 32], ["1", "8", "32"])
        axis.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=120)
