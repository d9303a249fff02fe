"""The one form of every bench: rows beside their bars, as a table, JSON and a picture."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measured number, its bar (">= 0.88", "" for none) and the peer it stands beside."""

    name: str
    value: float
    unit: str
    bar: str = ""
    spread: str = ""
    peer: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None without one."""
        if not self.bar:
            return None
        sign, limit = self.bar.split()
        if sign == "==":
            return bool(self.value == float(limit))
        return bool(self.value >= float(limit) if sign == ">=" else self.value <= float(limit))


def machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def report(bench: str, rows: Sequence[Row], path: Path | None) -> None:
    """Print the rows; write them as JSON where asked."""
    for row in rows:
        mark = {True: "holds", False: "MISSED", None: ""}[row.holds]
        line = f"{row.name:<44} {row.value:>10.4g} {row.unit:<9} {row.bar:<9} {mark:<7}"
        print(f"{line} {row.spread} {row.peer}".rstrip())
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = [{**asdict(r), "holds": r.holds} for r in rows]
        path.write_text(
            json.dumps({"bench": bench, "machine": machine(), "rows": made}, indent=2) + "\n"
        )
