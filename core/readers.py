"""CSV, JSONL and Parquet as numbered records, one broken record at a time.

A file that is no table at all raises DataError. A broken record (bytes that are not UTF-8, half a line,
a quote never closed) is handed out as a `Refused`, and never takes the next one with it.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import DataError

EXCERPT_CHARACTERS = 80
HALF_WRITTEN = "(a half-written line?)"
MAGIC = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x1f\x8b": "gzip",
    b"SQLite": "an SQLite database",
    b"%PDF": "PDF",
    b"\x89PNG": "a picture",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what no database takes
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Refused:
    """A row that was not taken."""

    row: int  # as an editor counts lines (a CSV's header is 1); in Parquet the first row is 1
    reason: str
    value: str  # the start of the value that was wrong, at most 80 characters


Record = Refused | tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Table:
    """A file's column names, and its records in order, read as they are asked for."""

    columns: list[str]
    records: Iterable[Record]


def read_table(path: Path) -> Table:
    """The file's records, by its suffix. Raises DataError for what is not a table.

    A record is (row number, column -> value); CSV values are strings; a JSONL record may lack columns.
    """
    read = _READERS.get(path.suffix.lower())
    where = str(path)
    if not path.exists():
        raise DataError("no such file", where=where, do=_did_you_mean(path))
    if path.is_dir():
        raise DataError("this is a folder", where=where, expected="a file: .csv, .jsonl or .parquet")
    if read is None:
        raise DataError(
            "this kind of file cannot be read",
            where=where,
            got=path.suffix or "a name without a suffix",
            expected=", ".join(_READERS),
        )
    try:
        if path.stat().st_size == 0:
            raise DataError("the file is empty", where=where, expected="a header and rows")
        _check_magic(path)
        return read(path)
    except OSError as fault:
        raise DataError("the file cannot be read", where=where, got=str(fault)) from None


def about_rows(path: Path) -> int:
    """How many records a file has, or a few more: lines, where they have to be counted."""
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))


def excerpt(value: object) -> str:
    r"""The start of a value, fit to print.

    >>> excerpt("a\x00b"), len(excerpt("x" * 1000))
    ('a\\x00b', 80)
    """
    text = "" if value is None else str(value)[: EXCERPT_CHARACTERS + 1]
    text = _UNPRINTABLE.sub(_escaped, text)
    return text if len(text) <= EXCERPT_CHARACTERS else text[: EXCERPT_CHARACTERS - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like this one, or ""; capitals do not matter.

    >>> nearest("utterence", ["utterance", "intent"]), nearest("LABEL", ["text", "label"])
    ('utterance', 'label')
    """
    folded = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.7)
    return folded[near[0]] if near else ""


def _csv(path: Path) -> Table:
    records = _csv_records(path)
    header = next(records, None)
    if header is None or isinstance(header, Refused):
        got = excerpt(header.value) if header else "only blank lines"
        raise DataError("this is not a CSV file", where=str(path), got=got, expected="a header line")
    if re.fullmatch("sep=.?", header[1][0].lower(), re.DOTALL):
        raise DataError(
            "the first line is for spreadsheets only",
            where=str(path),
            got=",".join(header[1]) or "sep=,",
            expected="the names of the columns",
            do="remove the first line; the fields must be separated by commas",
        )
    columns = [name.strip() for name in header[1]]
    twice = sorted({c for c in columns if c and columns.count(c) > 1})
    if twice:
        raise DataError("a column is there twice", where=str(path), got=", ".join(twice))
    return Table(columns, _named(columns, records))


def _named(columns: list[str], records: Iterator[Refused | tuple[int, list[str]]]) -> Iterator[Record]:
    for record in records:
        if isinstance(record, Refused):
            yield record
            continue
        row, fields = record
        if len(fields) == len(columns):
            yield row, dict(zip(columns, fields, strict=True))
        else:
            short = f"only {len(fields)} of {len(columns)} fields {HALF_WRITTEN}"
            long = f"{len(fields)} fields where the header has {len(columns)} (a comma outside quotes?)"
            reason = short if len(fields) < len(columns) else long
            yield Refused(row, reason, excerpt(",".join(fields)))


def _csv_records(path: Path) -> Iterator[Refused | tuple[int, list[str]]]:
    """Row number and fields; a record may span lines inside quotes."""
    limit = csv.field_size_limit(2**31 - 1)  # a text may be too long for us, but not for csv
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = _Lines(file)
            reader = csv.reader(lines, strict=True)
            while True:
                lines.taken.clear()
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    row, broken = lines.first, lines.taken[0]
                    lines.give_back()
                    reader = csv.reader(lines, strict=True)
                    reason = f"a quote is opened and not properly closed {HALF_WRITTEN}"
                    yield Refused(row, reason, excerpt(broken.rstrip("\r\n")))
                    continue
                if not fields:
                    continue  # a blank line
                reason = unstorable(fields)
                row = lines.first
                yield Refused(row, reason, excerpt(",".join(fields))) if reason else (row, fields)
    finally:
        csv.field_size_limit(limit)


class _Lines:
    """The lines of a file, with a way back: a quote never closed swallows every line up to the next."""

    def __init__(self, file: Iterable[str]) -> None:
        self._file = iter(file)
        self._again: deque[str] = deque()
        self._number = 0
        self.taken: list[str] = []  # the lines of the record being read

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._file)
        self._number += 1
        self.taken.append(line)
        return line

    @property
    def first(self) -> int:
        """The number of the record's first line."""
        return self._number - len(self.taken) + 1

    def give_back(self) -> None:
        """Read every line of the record but its first again."""
        self._again.extendleft(reversed(self.taken[1:]))
        self._number -= len(self.taken) - 1


def _jsonl(path: Path) -> Table:
    columns: dict[str, None] = {}
    for record in _jsonl_records(path):
        if not isinstance(record, Refused):
            columns.update(dict.fromkeys(record[1]))
    if not columns:
        raise DataError(
            "this is not a JSONL file", where=str(path), got="no line that is a JSON object",
            expected='lines like {"text": "…"}',
        )  # fmt: skip
    return Table(list(columns), _jsonl_records(path))


def _jsonl_records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for row, raw in enumerate(file, 1):
            line = raw.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
            if line.strip():
                yield _json_record(row, line.decode("utf-8", "surrogateescape"))


def _json_record(row: int, line: str) -> Record:
    reason = unstorable([line])
    if not reason:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            reason = f"not a whole JSON object {HALF_WRITTEN}"
        else:
            if isinstance(values, dict):
                reason = unstorable(_strings(values)) if "\\u" in line else ""
            else:
                reason = "not a JSON object"
    return Refused(row, reason, excerpt(line)) if reason else (row, values)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
    except (pa.ArrowException, OSError) as fault:
        raise DataError("this Parquet file is damaged", where=str(path), got=excerpt(fault)) from None
    return Table(columns, _parquet_records(path, columns))


def _parquet_records(path: Path, columns: list[str]) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for fields in zip(*(_cells(c) for c in batch.columns), strict=True):
                    row += 1
                    reason = unstorable([f for f in fields if isinstance(f, str)])
                    values = dict(zip(columns, fields, strict=True))
                    yield Refused(row, reason, excerpt(fields)) if reason else (row, values)
    except (pa.ArrowException, OSError) as fault:
        raise DataError("this Parquet file is damaged", where=str(path), got=excerpt(fault)) from None


def _cells(column: Any) -> list[Any]:
    """Python values; strings by way of bytes, since Arrow does not check that they are UTF-8."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    if pa.types.is_float32(column.type):
        column = column.cast(pa.string()).cast(pa.float64())  # 4.1, as other files have it; not 4.09999
    cells: list[Any] = column.to_pylist()
    return [c.decode("utf-8", "surrogateescape") if isinstance(c, bytes) else c for c in cells]


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}


def _check_magic(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    found = next((name for magic, name in MAGIC.items() if start.startswith(magic)), "text")
    wanted = "Parquet" if path.suffix.lower() == ".parquet" else "text"
    if found != wanted:
        raise DataError(
            "the file is not what its name says",
            where=str(path),
            got=found,
            expected="Parquet" if wanted == "Parquet" else "UTF-8 text",
        )


def unstorable(strings: Iterable[str]) -> str:
    """Why this cannot be stored, or "". Bytes that are not UTF-8 were read as lone surrogates."""
    joined = "".join(strings)
    if joined.isascii() and "\x00" not in joined:
        return ""
    found = _UNSTORABLE.search(joined)
    if not found:
        return ""
    return "a NUL character" if found.group() == "\x00" else "bytes that are not UTF-8"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # the byte that surrogateescape hid
    short = {9: "\\t", 10: "\\n", 13: "\\r"}
    return short.get(code, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def _did_you_mean(path: Path) -> str:
    siblings: Sequence[str] = (
        [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    )
    near = nearest(path.name, siblings)
    return f"did you mean {path.parent / near}?" if near else "give the path of a file that exists"
