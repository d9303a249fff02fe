"""Users' files as frames; refused rows go to a quarantine file and are said out loud."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.errors import DataError
from core.label_set import LabelSet
from core.progress import doing
from core.readers import Refused
from core.tables import Columns, read_rows, write_quarantine
from core.texts import counted
from flows.first_labels import check_labels
from flows.strategy import Strategy


def pair(
    paths: tuple[Path, Path],
    columns: Columns,
    strategy: Strategy,
    quarantine: Path,
    names: LabelSet,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The usable rows of a training and an evaluation file. Raises DataError, see `check_labels`."""
    train = rows(paths[0], "initial", columns, strategy, quarantine)
    evaluation = rows(paths[1], "eval", columns, strategy, quarantine)
    if not strategy.task.labelled:
        return train, evaluation
    asked = (paths[0], train["label"]), (paths[1], evaluation["label"])
    if warning := check_labels(*asked, names, strategy.labeling.closed):
        sys.stderr.write(f"warning: {warning}\n")
    return train, evaluation


def rows(path: Path, role: str, columns: Columns, strategy: Strategy, quarantine: Path) -> pd.DataFrame:
    """The usable rows of a file; the others go to `<role>-<file>.csv` in the folder `quarantine`.

    Raises DataError when there is no usable row.
    """
    doing(f"reading {path.name}")
    table = read_rows(
        path,
        columns,
        labels=strategy.labeling.closed,
        max_text_characters=strategy.logging.max_text_characters,
        target=strategy.task.target,
    )
    if not table.refused:
        return table.frame
    page = write_quarantine(table.refused, quarantine / f"{role}-{path.stem}.csv")
    first = table.refused[0]
    if table.frame.empty:
        raise DataError(
            "no row of this file can be used",
            where=str(path),
            got=f"row {first.row}: {first.reason}",
            expected="at least one good row",
            do=f"see the reasons in {page}",
        )
    warn_refused(path, table.refused, page, f", {len(table.frame)} taken")
    return table.frame


def warn_refused(path: Path, refused: Sequence[Refused], page: Path, taken: str = "") -> None:
    """Say that rows of a file could not be used, why the first one, and where all the reasons are."""
    first = refused[0]
    sys.stderr.write(
        f"warning: {path.name}: {counted(len(refused), 'row')} refused{taken} "
        f"(row {first.row}: {first.reason}); the reasons are in {page}\n"
    )
