"""Named collections: texts with the label that a model must give them, kept by name and never sampled.

    data/collections/refunds-that-failed.csv

    text,label
    i want my money back and my card,refund
    refund me or i leave,refund

A file is a collection and its name without the suffix is the collection's. It may be CSV, JSONL or
Parquet; other columns are left alone. The files are small, made by people, and belong in git.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd

from core.errors import DataError
from core.files import whole_text
from core.readers import Refused, nearest
from core.tables import Columns, read_rows
from core.workspace import inside

FOLDER = "data/collections"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
KINDS = (".csv", ".jsonl", ".ndjson", ".parquet")
COLUMNS = Columns(label="label")


def files(root: Path) -> dict[str, Path]:
    """Where each collection lies, in the order of their names. Raises DataError for a bad name."""
    found: dict[str, Path] = {}
    for path in sorted((root / FOLDER).glob("*")):
        if path.suffix.lower() not in KINDS or path.name.startswith("."):
            continue
        check_name(path.stem, str(path))
        if not inside(root, path):
            raise DataError(
                "a collection is a link that leads out of the workspace",
                where=str(path),
                got=str(path.resolve()),
                expected="a file in the workspace",
                do="copy the file there",
            )
        if path.stem in found:
            raise DataError(
                "two files of one collection",
                where=str(root / FOLDER),
                got=f"{found[path.stem].name} and {path.name}",
                expected="one file for each name",
            )
        found[path.stem] = path
    return found


def named(root: Path, name: str) -> pd.DataFrame:
    """One collection. Raises DataError where there is none of this name."""
    found = files(root)
    if name in found:
        return read(found[name])
    near = nearest(name, found)
    raise DataError(
        "there is no such collection",
        where=str(root / FOLDER),
        got=ascii(name),
        expected=f"one of {', '.join(found)}" if found else "a collection, of which there is none yet",
        do=f"did you mean {near}?" if near else "everloop collection add NAME FILE",
    )


def read(path: Path, columns: Columns = COLUMNS) -> pd.DataFrame:
    """The rows of one file: text and label, both strings. Raises DataError, which names the row."""
    rows = read_rows(path, columns)
    if rows.refused:
        raise _refused(path, rows.refused)
    return _one_label(path, rows.frame[["text", "label"]])


def add(root: Path, name: str, path: Path, columns: Columns = COLUMNS) -> tuple[Path, int]:
    """Add the rows of a file to a collection, or begin it: its file, and how many rows were new to it.

    Raises DataError before anything is written: a row that cannot be taken, a text of two labels.
    """
    check_name(name, "NAME")
    there = files(root)
    target = there.get(name, root / FOLDER / f"{name}.csv")
    if target.suffix.lower() != ".csv":
        raise DataError(
            "rows can be added to a CSV file only",
            where=str(target),
            do="turn it into a CSV file of text and label",
        )
    known = read(target) if name in there else pd.DataFrame({"text": [], "label": []}, dtype=object)
    whole = _one_label(path, pd.concat([known, read(path, columns)]))
    write(target, whole)
    return target, len(whole) - len(known)


def check_name(name: str, where: str) -> None:
    """Raises DataError for a name that would not be the same in a file, a signal and a command."""
    if not NAME.fullmatch(name):
        expected = "letters, digits, dot, dash and underscore, as refunds-that-failed"
        raise DataError(
            "this is no name for a collection", where=where, got=ascii(name), expected=expected
        )


def write(target: Path, rows: pd.DataFrame) -> None:
    """Make a CSV file of these rows; a reader sees the old one or the new one."""
    with whole_text(target) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label"])
        writer.writerows(rows[["text", "label"]].itertuples(index=False))


def _refused(path: Path, refused: list[Refused]) -> DataError:
    first, more = refused[0], len(refused) - 1
    others = f" (and {more} more row{'s' if more > 1 else ''})" if more else ""
    return DataError(
        "a row of this collection cannot be taken",
        where=f"{path}, row {first.row}{others}",
        got=f"{first.reason}: {first.value}" if first.value else first.reason,
        expected="a text and its label in every row",
    )


def _one_label(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Each row once. Raises DataError for a text of two labels."""
    once = rows.drop_duplicates(ignore_index=True)
    twice = once[once["text"].duplicated(keep=False)]
    if len(twice) == 0:
        return once
    text = str(twice["text"].iloc[0])
    labels = twice.loc[twice["text"] == text, "label"]
    raise DataError(
        "one text with two labels",
        where=str(path),
        got=f"{text[:60]!a} is {' and '.join(labels)}",
        expected="one label for each text",
    )
