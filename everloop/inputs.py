"""Users' files as frames; refused rows go to a quarantine file and are said out loud."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from core.errors import DataError
from core.tables import Columns, read_rows, write_quarantine
from flows.home import Home


def rows(home: Home, path: Path, columns: Columns) -> pd.DataFrame:
    """The usable rows of a file. Raises DataError when there are none."""
    settings = home.strategy
    table = read_rows(
        path,
        columns,
        labels=settings.labeling.closed,
        max_text_characters=settings.logging.max_text_characters,
    )
    if table.refused:
        page = write_quarantine(table.refused, home.workspace.quarantine / f"{path.stem}.csv")
        first = table.refused[0]
        sys.stderr.write(
            f"warning: {path.name}: {len(table.refused)} rows refused "
            f"(row {first.row}: {first.reason}); all of them with reasons in {page}\n"
        )
    if table.frame.empty:
        raise DataError("no usable rows", where=str(path), do="see the quarantine file named above")
    return table.frame


def labelled(home: Home, path: Path, text: str, label: str) -> pd.DataFrame:
    """Rows to train or evaluate on: text, label, segments."""
    return rows(home, path, Columns(text=text, label=label))
