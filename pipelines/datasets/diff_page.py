"""The difference of two versions as one HTML page."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from core.page import bars, figures, tag, text, write_page
from core.page import table as table_of
from pipelines.datasets.diff import Difference

ROWS, SHARES = 50, 20
WIDTH = 240  # characters of a text
STYLE = ".was { color: var(--soft); text-decoration: line-through; }"


def write_diff(difference: Difference, path: Path) -> Path:
    """Write the page, the whole of it or nothing."""
    names = f"{difference.before.id} → {difference.after.id}"
    return write_page(path, f"Dataset {names}", _body(difference, names), STYLE)


def _body(d: Difference, names: str) -> Iterator[str]:
    yield f"<h1>Dataset {text(names)}</h1>"
    yield f"<p class='soft'>{text(_told(d))}</p>"
    yield figures((f"{len(rows):,}", name) for name, rows in d.parts())
    key = (
        f'<p class="soft"><span class="key"></span> {text(d.after.id)} '
        f'<span class="key before"></span> {text(d.before.id)}; of the training rows</p>'
    )
    for name, shares in (("Labels", d.labels), ("Segments", d.segments)):
        moved = shares[shares["before"] != shares["after"]]
        if len(moved):
            yield f"<h2>{name}: shares that moved</h2>{key}"
            yield _shares(moved)
    for name, rows in d.parts():
        if len(rows):
            yield f"<h2>{text(name.capitalize())}</h2>"
            yield _rows(rows)


def _told(d: Difference) -> str:
    sides = (
        f"{v.id}: {v.rows.get('train', 0):,} rows to train on, as of {v.as_of:%Y-%m-%d %H:%M} UTC, "
        f"policy {v.policy}, {v.labels} labels"
        for v in (d.before, d.after)
    )
    return " · ".join(sides)


def _shares(moved: pd.DataFrame) -> str:
    widest = max(moved[["before", "after"]].to_numpy().max(), 1e-9)
    lines = [
        [
            text(name),
            bars(after / widest, before / widest),
            f"{before:.2%}",
            f"{after:.2%}",
            f"{after - before:+.2%}",
        ]
        for name, before, after in moved.head(SHARES).itertuples(index=False)
    ]
    more = _more(len(moved) - SHARES)
    return table_of(["", "", "before", "after", "change"], lines, numbers=(2, 3, 4)) + more


def _rows(rows: pd.DataFrame) -> str:
    lines = [
        [f"<code>{text(row['row_id'])}</code>", _what(row), f"<q>{text(_cut(str(row['text'])))}</q>"]
        for row in rows.head(ROWS).to_dict("records")
    ]
    return table_of(["row", "label", "text"], lines) + _more(len(rows) - ROWS)


def _what(row: Mapping[Hashable, Any]) -> str:
    was = row.get("label_before") or row.get("set_before")
    now = row["set"] if "set_before" in row else row["label"]
    before = f'<span class="was">{text(was)}</span> ' if was else ""
    return before + tag(now)


def _cut(said: str) -> str:
    line = " ".join(said.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _more(left: int) -> str:
    return (
        f'<p class="soft">{left:,} more; everloop data export writes them all</p>' if left > 0 else ""
    )
