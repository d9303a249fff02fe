"""The difference of two versions as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from core.page import write_page
from pipelines.datasets.diff import Difference

TEMPLATE = Path(__file__).with_name("diff.html")
ROWS, SHARES = 50, 20
WIDTH = 240  # characters of a text


def write_diff(difference: Difference, path: Path) -> Path:
    """Write the page, the whole of it or nothing."""
    d = difference
    return write_page(
        path,
        TEMPLATE,
        title=f"Dataset {d.before.id} → {d.after.id}",
        versions=(d.before, d.after),
        figures=[(f"{len(rows):,}", name) for name, rows in d.parts()],
        shifts=[("Labels", *_shifts(d.labels)), ("Segments", *_shifts(d.segments))],
        parts=[(name, len(rows), _rows(rows)) for name, rows in d.parts() if len(rows)],
        ROWS=ROWS,
        SHARES=SHARES,
    )


def _shifts(shares: pd.DataFrame) -> tuple[float, list[tuple[str, float, float]]]:
    """The largest share, and (name, before, after) of those that are not what they were."""
    moved = shares[shares["before"] != shares["after"]]
    found = list(moved.itertuples(index=False, name=None))
    return max((max(before, after) for _, before, after in found), default=1.0), found


def _rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What is shown of each: its id, what it was and is, and its text on one line."""
    return [
        {
            "id": row["row_id"],
            "was": row.get("target_before") or row.get("set_before"),
            "now": row["set"] if "set_before" in row else row["target"],
            "text": _cut(str(row["input"])),
        }
        for row in rows.head(ROWS).to_dict("records")
    ]


def _cut(said: str) -> str:
    line = " ".join(said.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
