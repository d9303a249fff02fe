"""Users' tables as rows the loop can take, and a quarantine for the rows it cannot.

    request_id,timestamp,user_id,text,label,domain
    r000001,2026-01-05 00:50:36,u0214,how do you spell out newspaper,spelling,utility

A file that cannot be used raises DataError. A row that cannot be used is refused with its number and
the reason, and the others are taken. `label` is the truth: it is never part of `segments`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from core.cells import decoded, json_text, storable, unstorable
from core.errors import DataError
from core.files import whole_text
from core.label_names import normal
from core.readers import Record, Refused, Table, excerpt, nearest, read_table
from core.tasks import Classification
from core.times import utc

__all__ = [
    "Columns",
    "Refused",
    "Rows",
    "as_string",
    "as_time",
    "bounded",
    "missing_columns",
    "read_rows",
    "resolve",
    "text_fault",
    "write_quarantine",
]

MAX_TEXT_CHARACTERS = 10_000
MOST_ROWS, MOST_CHARACTERS = 2_000_000, 1_000_000_000  # about 2 GB of memory
NAMES = ["request_id", "timestamp", "user", "text", "label", "segments"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Columns:
    """Which column of a user's file plays which role. `None`: the file need not have it.

    Without `id`, a column `request_id` is used where the file has one, and ids are made from file name
    and row number where not. Without `user`, `user_id` is used where the file has it.
    """

    text: str = "text"
    label: str | None = None
    time: str | None = None
    id: str | None = None
    user: str | None = None


DEFAULT_COLUMNS = Columns()
Target = Callable[[Any], str]  # see Task.target
A_LABEL: Target = Classification().target


@dataclass(frozen=True)
class Rows:
    """The rows that were taken, and those that were not.

    frame: request_id, timestamp (UTC; NaT without a time column), user, text, label (None without a
    label column), segments (dict: every other column, as strings; empty values left out).
    """

    frame: pd.DataFrame
    refused: list[Refused]


def read_rows(
    path: Path,
    columns: Columns = DEFAULT_COLUMNS,
    *,
    labels: Sequence[str] | None = None,
    max_text_characters: int = MAX_TEXT_CHARACTERS,
    target: Target = A_LABEL,
) -> Rows:
    """The rows of a CSV, JSONL (.jsonl, .ndjson) or Parquet file. With `labels`, no other is taken.
    `target` reads the cells of the column `label`.

    Raises DataError when the file cannot be used: not there, not a table, a column missing, no rows,
    or more of them than are held in memory.
    """
    table = read_table(path)
    columns = resolve(path, table.columns, columns)
    gate = _Gate(path.stem, columns, labels, max_text_characters, target)
    taken: list[tuple[Any, ...]] = []
    refused: list[Refused] = []
    for record in bounded(path, table, columns.text):
        checked = record if isinstance(record, Refused) else gate.check(*record)
        if isinstance(checked, Refused):
            refused.append(checked)
        else:
            taken.append(checked)
    if not taken and not refused:
        raise DataError(
            "the file has no rows", where=str(path), got="only a header", expected="at least one row"
        )
    return Rows(_frame(taken), refused)


def bounded(path: Path, table: Table, column: str) -> Iterator[Record]:
    """The records of a file that is held in memory. Raises DataError when it is too large for that."""
    characters = 0
    if (table.rows or 0) > MOST_ROWS:
        raise _too_large(path, f"{table.rows:,} rows")
    for count, record in enumerate(table.records, 1):
        if not isinstance(record, Refused):
            cell = record[1].get(column)
            characters += len(cell) if isinstance(cell, str | bytes) else 0
        if count > MOST_ROWS or characters > MOST_CHARACTERS:
            raise _too_large(path, f"more, by row {count:,}")
        yield record


def _too_large(path: Path, got: str) -> DataError:
    return DataError(
        "the file is too large to be held in memory",
        where=str(path),
        got=got,
        expected=f"at most {MOST_ROWS:,} rows and {MOST_CHARACTERS:,} characters of text",
        do="take a sample of its rows, or split the file",
    )


def write_quarantine(rows: Iterable[Refused], path: Path) -> Path:
    """Write refused rows as CSV (row, reason, value), replacing the file whole."""
    with whole_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "reason", "value"])
        writer.writerows((r.row, r.reason, r.value) for r in rows)
    return path


class _Gate:
    """Lets rows through in the order of the file; it remembers the clock and the ids it has seen."""

    def __init__(
        self,
        stem: str,
        columns: Columns,
        labels: Sequence[str] | None,
        max_text_characters: int,
        target: Target,
    ) -> None:
        self._stem = stem
        self._columns = columns
        self._labels = None if labels is None else set(map(normal, labels))
        self._max, self._target = max_text_characters, target
        self._used = [name for f in fields(columns) if (name := getattr(columns, f.name))]
        self._roles = {*self._used, "label", ""}
        self._now, self._now_row = EPOCH, 0
        self._seen: dict[str, int] = {}
        self._near: dict[str, str] = {}

    def check(self, row: int, values: dict[str, Any]) -> Refused | tuple[Any, ...]:
        """The row in the order of NAMES, or why not."""
        c = self._columns
        for name in self._used:
            cell = values[name] = decoded(values.get(name))
            if isinstance(cell, str) and (reason := unstorable(cell)):
                return Refused(row, reason, excerpt(cell))
        text = values.get(c.text)
        label = None
        if fault := text_fault(text, self._max):
            return Refused(row, *fault)
        if c.label:
            given = values.get(c.label)
            try:
                label = self._target(given)
            except ValueError as why:
                return Refused(row, str(why), excerpt(given).strip() if as_string(given) else "")
            if fault := self._undeclared(label):
                return Refused(row, *fault)
        when = as_time(values.get(c.time)) if c.time else None
        key = as_string(values.get(c.id)).strip() if c.id else f"{self._stem}-{row}"
        fault = self._time_fault(when, values.get(c.time) if c.time else None) or self._id_fault(key)
        if fault:
            return Refused(row, *fault)
        if when:
            self._now, self._now_row = when, row
        self._seen[key] = row
        rest = ((k, v) for k, v in values.items() if k not in self._roles)
        segments = {storable(k): storable(s) for k, v in rest if (s := _segment(v))}
        return key, when, as_string(values.get(c.user)) if c.user else "", text, label, segments

    def _undeclared(self, label: str) -> tuple[str, str] | None:
        if self._labels is None or label in self._labels:
            return None
        if label not in self._near:
            near = nearest(label, self._labels)
            self._near[label] = f"; did you mean '{near}'?" if near else ""
        return f"a label that was never declared{self._near[label]}", excerpt(label)

    def _time_fault(self, when: datetime | None, raw: Any) -> tuple[str, str] | None:
        if self._columns.time is None:
            return None
        if when is None:
            return "not a time after 1970, expected ISO 8601 like 2026-01-05 08:30:00", excerpt(raw)
        if when < self._now:
            reason = f"the clock goes back: {when:%Y-%m-%d %H:%M:%S} is before"
            return f"{reason} {self._now:%Y-%m-%d %H:%M:%S} of row {self._now_row}", excerpt(raw)
        return None

    def _id_fault(self, key: str) -> tuple[str, str] | None:
        if not key:
            return "no request id", ""
        first = self._seen.get(key)
        return None if first is None else (f"the request id is already in row {first}", excerpt(key))


def text_fault(text: Any, most: int) -> tuple[str, str] | None:
    """Why this is no text to classify, and how it begins; None when it is one."""
    if text is None:
        return "no text", ""
    if not isinstance(text, str):
        return f"the text is of type {type(text).__name__}, expected a string", excerpt(text)
    if len(text) > most:
        return f"the text has {len(text)} characters, at most {most} are taken", excerpt(text)
    return None if text and not text.isspace() else ("an empty text", excerpt(text))


def _segment(value: Any) -> str:
    """A cell as the value of a segment; bytes (a picture, a hash) are none."""
    return "" if isinstance(value, bytes) else as_string(value)


def as_string(value: Any) -> str:
    """A cell as text; nothing (None, NaN) is "".

    >>> as_string(None), as_string(3), as_string(True), as_string(["a"])
    ('', '3', 'true', '["a"]')
    """
    if isinstance(value, str | bytes):
        return str(decoded(value))
    if value is None or value != value:
        return ""
    return json_text(value) if isinstance(value, (bool, list, dict)) else str(value)


def as_time(value: Any) -> datetime | None:
    """A cell as a time in UTC; None where it is none, or lies before 1970."""
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        when = utc(when)
    except (ValueError, OverflowError):
        return None
    return when if when >= EPOCH else None


def resolve(path: Path, found: Sequence[str], columns: Columns) -> Columns:
    """The columns a file plays its roles with. Raises DataError for one that it does not have."""
    _require(path, found, columns)
    return Columns(
        columns.text,
        columns.label,
        columns.time,
        columns.id or ("request_id" if "request_id" in found else None),
        columns.user or ("user_id" if "user_id" in found else None),
    )


def _require(path: Path, found: Sequence[str], columns: Columns) -> None:
    wanted = {f.name: getattr(columns, f.name) for f in fields(columns)}
    missing = {role: name for role, name in wanted.items() if name and name not in found}
    if not missing:
        return
    flags = [f"--{role}-column {nearest(name, found) or 'NAME'}" for role, name in missing.items()]
    expected = ", ".join(f"a column with the {role}" for role in missing)
    raise missing_columns(path, found, list(missing.values()), expected, f"name it: {' '.join(flags)}")


def missing_columns(
    path: Path, found: Sequence[str], missing: Sequence[str], expected: str, do: str
) -> DataError:
    """A table without the columns that it must have."""
    hint = "; are the fields separated by something other than a comma?" if len(found) == 1 else ""
    if hint and any(sign in found[0] for sign in ";\t|"):
        do = "save it with commas between the fields"
    return DataError(
        f"missing column{'s' if len(missing) > 1 else ''}: {', '.join(missing)}",
        where=str(path),
        got=f"columns {', '.join(excerpt(c) for c in found[:20])}",
        expected=expected + hint,
        do=do,
    )


def _frame(taken: list[tuple[Any, ...]]) -> pd.DataFrame:
    cells = list(zip(*taken, strict=True)) if taken else [()] * len(NAMES)
    named = zip(NAMES, cells, strict=True)
    frame = pd.DataFrame({name: pd.Series(list(column), dtype=object) for name, column in named})
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).astype("datetime64[us, UTC]")
    return frame
