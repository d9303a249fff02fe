"""CSV, JSONL and Parquet as numbered records, one broken record at a time.

A file that is no table at all raises DataError. A broken record (half a line, a quote never closed) is
handed out as a `Refused`, and never takes the next one with it. What a column holds is the reader's
business only where it is used: bytes that are not UTF-8 come as lone surrogates, and binary columns as
bytes (`core/cells.py`). Memory is bounded by a record, whatever the file.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from core.cells import unstorable
from core.errors import DataError

EXCERPT_CHARACTERS = 80
HALF_WRITTEN = "(a half-written line?)"
MOST_OF_A_RECORD = 16 * 2**20  # bytes of a line of JSONL, characters of a record of CSV
TOO_LONG = f"a record of more than {MOST_OF_A_RECORD // 2**20} MiB (a quote never closed?)"
MOST_COLUMNS, MOST_DEPTH = 10_000, 200
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
# a string is one piece, also one never closed: what is in it nests nothing
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
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
    rows: int | None = None  # where the file says so


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
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(path).num_rows)
        except (pa.ArrowException, OSError):
            return 0
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
    if reason := unstorable("".join(header[1])):
        got = f"{reason} in the header: {excerpt(','.join(header[1]))}"
        raise DataError("this is not a CSV file", where=str(path), got=got, expected="UTF-8 text")
    columns = [name.strip() for name in header[1]]
    check_columns(path, columns)
    return Table(columns, _named(columns, records))


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Raises DataError for a name that is there twice, or for more of them than a table has."""
    if len(columns) > MOST_COLUMNS:
        got, most = f"{len(columns):,} or more", f"at most {MOST_COLUMNS:,}"
        raise DataError("the file has too many columns", where=str(path), got=got, expected=most)
    twice = sorted(c for c, n in Counter(columns).items() if c and n > 1)
    if twice:
        raise DataError("a column is there twice", where=str(path), got=", ".join(twice))


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
                except _TooLongError:
                    row, broken = lines.first, lines.taken[0]
                    lines.give_back()
                    reader = csv.reader(lines, strict=True)
                    yield Refused(row, TOO_LONG, excerpt(broken.rstrip("\r\n")))
                    continue
                if fields:  # not a blank line
                    yield lines.first, fields
    finally:
        csv.field_size_limit(limit)


class _TooLongError(Exception):
    """A record that is not held in memory."""


class _Lines:
    """The lines of a file, with a way back: a quote never closed swallows every line up to the next."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self._number = self._size = 0
        self.taken: list[str] = []  # the lines of the record being read

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline(MOST_OF_A_RECORD)
        if not line:
            raise StopIteration
        self._number += 1
        self.taken.append(line)
        self._size = len(line) + (self._size if len(self.taken) > 1 else 0)
        if self._size >= MOST_OF_A_RECORD:
            self._skip(line)
            raise _TooLongError
        return line

    def _skip(self, line: str) -> None:
        """Read over the rest of a line that was cut off."""
        while len(line) == MOST_OF_A_RECORD and not line.endswith(("\n", "\r")):
            line = self._file.readline(MOST_OF_A_RECORD)

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
            if len(columns) > MOST_COLUMNS:
                break
    check_columns(path, list(columns))
    if not columns:
        raise DataError(
            "this is not a JSONL file", where=str(path), got="no line that is a JSON object",
            expected='lines like {"text": "…"}',
        )  # fmt: skip
    return Table(list(columns), _jsonl_records(path))


def _jsonl_records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for row in count(1):
            raw = file.readline(MOST_OF_A_RECORD)
            if not raw:
                return
            line = raw.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
            if len(raw) == MOST_OF_A_RECORD:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(MOST_OF_A_RECORD)
                yield Refused(row, TOO_LONG, excerpt(line[:1000].decode("utf-8", "surrogateescape")))
            elif line.strip():
                yield _json_record(row, line.decode("utf-8", "surrogateescape"))


def _json_record(row: int, line: str) -> Record:
    try:
        if _too_deep(line):
            raise RecursionError
        values = json.loads(line)
    except (ValueError, RecursionError):
        whole = f"not a whole JSON object {HALF_WRITTEN}"
        return Refused(row, unstorable(line) or whole, excerpt(line))
    if not isinstance(values, dict):
        return Refused(row, "not a JSON object", excerpt(line))
    return row, values


def _too_deep(line: str) -> bool:
    """Whether it is nested deeper than it could be written again."""
    if line.count("[") + line.count("{") <= MOST_DEPTH:
        return False
    depth = deepest = 0
    for found in _NESTING.finditer(line):
        mark = found.group()
        depth += (mark in ("[", "{")) - (mark in ("]", "}"))
        deepest = max(deepest, depth)
    return deepest > MOST_DEPTH


def _parquet(path: Path) -> Table:
    from core.parquet import parquet_table

    return parquet_table(path)


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
