"""Rows as CSV, JSONL or Parquet, one at a time: the other half of `core/readers.py`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from core.cells import json_text, plain, writable
from core.errors import DataError
from core.readers import excerpt
from core.tables import as_string

T = TypeVar("T")
Row = dict[str, Any]
Rows = Callable[[], Iterator[Row]]  # the same rows each time it is called
Columns = Mapping[str, type | None]  # None: of whatever type its values are
GROUP_ROWS = 8192  # of a Parquet row group
GROUP_BYTES = 64 * 2**20  # of its texts and binary values
INT64 = 2**63


def check_writable(path: Path) -> None:
    """Raises DataError when no writer knows the suffix."""
    if path.suffix.lower() not in _WRITERS:
        raise DataError(
            "this kind of file cannot be written",
            where=str(path),
            got=path.suffix or "a name without a suffix",
            expected=", ".join(_WRITERS),
        )


def write_table(path: Path, suffix: str, columns: Columns, rows: Rows, like: Path) -> int:
    """Write rows in the format of `suffix`, down to the disk; returns how many there were.

    In Parquet a column has the type given, or that of `like` where that is Parquet too, or the
    narrowest that holds all its values: text where they are of several kinds.
    """
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for count, row in enumerate(rows(), 1):  # noqa: B007  # the last one is the answer
            yield row

    with path.open("wb") as file:
        _WRITERS[suffix.lower()](file, columns, counted, like)
        file.flush()
        os.fsync(file.fileno())
    return count


def groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """
    >>> list(groups("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    left = iter(items)
    while group := list(islice(left, size)):
        yield group


def json_line(row: Row) -> str:
    """One line of JSONL. At every depth nan and inf are null, and bytes are base64."""
    return json_text(row) + "\n"


def _csv(file: IO[bytes], columns: Columns, rows: Rows, _like: Path) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(writable, columns))
    writer.writerows([as_string(plain(row.get(c))) for c in columns] for row in rows())
    text.detach()  # the file stays open for its owner


def _jsonl(file: IO[bytes], _columns: Columns, rows: Rows, _like: Path) -> None:
    file.writelines(json_line(row).encode() for row in rows())


def _parquet(file: IO[bytes], columns: Columns, rows: Rows, like: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = _types(like) if like.suffix.lower() == ".parquet" else {}
    known |= {c: pa.type_for_alias(_ARROW[kind]) for c, kind in columns.items() if kind}
    found = _column_types([c for c in columns if c not in known], rows)
    schema = pa.schema([(writable(c), (known | found)[c]) for c in columns])
    try:
        with pq.ParquetWriter(file, schema) as writer:
            for group in _bounded(rows()):
                cells = [
                    _cells(group, c, f.type, c in found) for c, f in zip(columns, schema, strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(cells, schema=schema))
    except (pa.ArrowException, OverflowError) as fault:
        raise DataError(
            "these values cannot be written as Parquet",
            where=str(like),
            got=excerpt(fault),
            do="write .csv or .jsonl",
        ) from None


def _bounded(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """At most GROUP_ROWS rows, and not many more bytes than GROUP_BYTES."""
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += sum(len(v) for v in row.values() if isinstance(v, str | bytes))
        if len(group) == GROUP_ROWS or size > GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _cells(group: list[Row], column: str, kind: Any, loose: bool) -> Any:
    import pyarrow as pa

    values = [row.get(column) for row in group]
    if loose and kind == pa.string():
        values = [None if v is None else as_string(plain(v)) for v in values]
    return pa.array([writable(v) if isinstance(v, str) else v for v in values], type=kind)


def _types(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return {
        f.name: f.type.value_type if pa.types.is_dictionary(f.type) else f.type
        for f in pq.read_schema(path)
    }


def _column_types(columns: list[str], rows: Rows) -> dict[str, Any]:
    """The narrowest Arrow type that holds every value of a column."""
    import pyarrow as pa

    seen: dict[str, set[type]] = {c: set() for c in columns}
    for row in rows() if columns else ():
        for c in columns:
            seen[c].add(_kind(row.get(c)))
    return {c: pa.type_for_alias(_ARROW[_widest(kinds - {type(None)})]) for c, kinds in seen.items()}


def _widest(kinds: set[type]) -> type:
    if len(kinds) == 1:
        return next(iter(kinds))
    return float if kinds == {int, float} else str


def _kind(value: Any) -> type:
    if isinstance(value, int) and not -INT64 <= value < INT64:
        return str
    return type(value) if isinstance(value, bool | int | float | None) else str


_ARROW = {bool: "bool", int: "int64", float: "float64", str: "string"}
_WRITERS: dict[str, Callable[[IO[bytes], Columns, Rows, Path], None]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
