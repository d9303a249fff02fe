"""Columns that nobody uses: whatever they hold, the rows are taken, and what is written is sound."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import readers, tables
from core.errors import DataError
from core.readers import Refused, read_table
from core.tables import Columns, read_rows
from core.writers import json_line, write_table

TEXTS = ["what is my balance", "wake me at seven", "hello"]
NOT_UTF8 = pa.array([b"\xff\x00", b"caf\xe9", None])
COLUMNS: dict[str, Any] = {
    "binary": pa.array([b"\x89PNG\x00\xff", b"abcdef", None]),
    "uuid": pa.array([uuid.UUID(int=i).bytes for i in range(3)], pa.binary(16)),
    "uuid type": pa.ExtensionArray.from_storage(
        pa.uuid(), pa.array([uuid.UUID(int=i).bytes for i in range(3)], pa.binary(16))
    ),
    "bad text": NOT_UTF8.view(pa.string()),
    "bad text within": pa.StructArray.from_arrays([NOT_UTF8.view(pa.string())], ["x"]),
    "nan": pa.array([float("nan"), float("inf"), 1.5]),
    "nested": pa.array([{"a": [float("-inf"), 1.0], "b": b"\xff"}, {"a": None, "b": None}, None]),
    "map": pa.array([[("k", float("nan"))], [], None], pa.map_(pa.string(), pa.float64())),
    "decimal": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal(2)]),
    "date": pa.array([datetime.date(2026, 1, 5), None, None]),
    "time": pa.array([datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC), None, None]),
    "span": pa.array([datetime.timedelta(days=1), None, None]),
    "large": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "repeated": pa.array(["a", "a", None]).dictionary_encode(),
}


def strict(line: str) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(line, parse_constant=refuse)


def copied(source: Path, out: Path) -> Path:
    """What `predict` does with the columns it passes on."""
    table = read_table(source)

    def rows() -> Any:
        return (r[1] for r in read_table(source).records if not isinstance(r, Refused))

    write_table(out, out.suffix, dict.fromkeys(table.columns), rows, source)
    return out


@pytest.mark.parametrize("name", COLUMNS)
def test_the_rows_are_taken_and_written_in_every_format(name: str, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"other": COLUMNS[name], "text": TEXTS}), source)
    rows = read_rows(source)
    assert (list(rows.frame["text"]), rows.refused) == (TEXTS, [])
    lines = copied(source, tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [strict(line)["text"] for line in lines] == TEXTS
    with copied(source, tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert [r["text"] for r in csv.DictReader(file)] == TEXTS
    kept = pq.read_table(copied(source, tmp_path / "out.parquet"))
    assert kept["text"].to_pylist() == TEXTS
    if not name.startswith("bad text"):
        expected = COLUMNS[name].to_pylist()
        assert str(kept["other"].to_pylist()) == str(expected)  # as text: nan is not nan


def test_a_line_is_json_at_every_depth() -> None:
    row = {
        "a": {"b": [float("nan"), {"c": (float("inf"), b"\xff\x00")}]},
        "n": 2**70,
        "d": decimal.Decimal("1.50"),
        "t": "caf\udce9",
    }
    assert strict(json_line(row)) == {
        "a": {"b": [None, {"c": [None, "/wA="]}]},
        "n": 2**70,
        "d": "1.50",
        "t": "caf\ufffd",
    }


def test_a_binary_column_that_is_used_is_text(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": [b"fine", b"caf\xe9", b"n\x00l"], "label": [b"x"] * 3}), source)
    rows = read_rows(source, Columns(label="label"))
    assert rows.frame[["text", "label"]].to_numpy().tolist() == [["fine", "x"]]
    assert rows.refused == [
        Refused(2, "bytes that are not UTF-8", "caf\\xe9"),
        Refused(3, "a NUL character", "n\\x00l"),
    ]


UNUSED = {
    "x.csv": b"text,other\nhello,caf\xe9\nyou,a\x00b\n",
    "x.jsonl": b'{"text": "hello", "other": "caf\xe9"}\n{"text": "you", "other": "a\\u0000b"}\n',
}


@pytest.mark.parametrize("name", UNUSED)
def test_bad_bytes_in_a_column_nobody_uses_cost_no_row(name: str, tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(UNUSED[name])
    rows = read_rows(source)
    assert (list(rows.frame["text"]), rows.refused) == (["hello", "you"], [])
    assert rows.frame["segments"].tolist() == [{"other": "caf\ufffd"}, {"other": "a\ufffdb"}]
    out = [strict(line) for line in copied(source, tmp_path / "out.jsonl").read_text().splitlines()]
    assert [r["other"] for r in out] == ["caf\ufffd", "a\x00b"]
    for kind in ("out.csv", "out.parquet"):
        assert [r["text"] for r in records(copied(source, tmp_path / kind))] == ["hello", "you"]


def records(path: Path) -> list[dict[str, Any]]:
    return [r[1] for r in read_table(path).records if not isinstance(r, Refused)]


def test_json_that_is_read_can_be_written(tmp_path: Path) -> None:
    deep = tmp_path / "deep.jsonl"
    nested = '{"text": "a", "x": ' + "[" * 199 + "]" * 199 + "}\n"
    deep.write_text(nested + nested.replace("[", "[[").replace("]", "]]") + '{"text": "]]]"}\n')
    found = list(read_table(deep).records)
    assert [isinstance(r, Refused) for r in found] == [False, True, False]
    assert strict(json_line(records(deep)[0])) == strict(nested)


LARGE: dict[str, tuple[str, Callable[[str], str]]] = {
    "x.csv": ("text,label\n", lambda text: f'"{text}",a\n'),
    "x.jsonl": ("", lambda text: json.dumps({"text": text, "label": "a"}) + "\n"),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_record_too_large_for_memory_is_refused_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MOST_OF_A_RECORD", 1000)
    head, line = LARGE[name]
    path = tmp_path / name
    path.write_text(head + line("one") + line("y" * 5000) + line("two"))
    rows = read_rows(path)
    assert list(rows.frame["text"]) == ["one", "two"]
    assert [(r.row, r.reason) for r in rows.refused] == [(2 + (name == "x.csv"), readers.TOO_LONG)]


def test_a_quote_never_closed_does_not_hold_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "MOST_OF_A_RECORD", 1000)
    path = tmp_path / "x.csv"
    path.write_text('text,label\n"never closed,a\n' + "fine,b\n" * 500)
    rows = read_rows(path)
    assert (len(rows.frame), [r.row for r in rows.refused]) == (500, [2])


def test_a_file_too_large_for_memory_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    for name in ("x.csv", "x.parquet"):
        path = tmp_path / name
        if name == "x.csv":
            path.write_text("text\n" + "a\n" * 4)
        else:
            pq.write_table(pa.table({"text": ["a"] * 4}), path)
        with pytest.raises(
            DataError, match=r"too large to be held in memory\n.*\n.*\n.*at most 3 rows"
        ):
            read_rows(path)
    monkeypatch.setattr(tables, "MOST_ROWS", 100)
    monkeypatch.setattr(tables, "MOST_CHARACTERS", 3)
    with pytest.raises(DataError, match="more, by row 4"):
        read_rows(tmp_path / "x.csv")


def test_a_value_repeated_in_every_row_is_held_once(tmp_path: Path) -> None:
    """1 MB of a dictionary stands for 20 GB."""
    path = tmp_path / "x.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["a" * 1_000_000])
    pq.write_table(pa.table({"text": text}), path)
    before = pa.default_memory_pool().bytes_allocated()
    first = {id(r[1]["text"]) for r in read_table(path).records if not isinstance(r, Refused)}
    assert len(first) <= 20_000 / 1024 + 1
    assert pa.default_memory_pool().bytes_allocated() - before < 50_000_000


def test_a_column_packed_to_almost_nothing_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    text = pa.array(["a" * 1_000_000] * 80)
    pq.write_table(pa.table({"text": text}), path, use_dictionary=False, compression="zstd")
    with pytest.raises(DataError, match="too large to be read"):
        read_table(path)


def test_columns_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MOST_COLUMNS", 5)
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": "a", f"key {i}": 1}) + "\n" for i in range(9)))
    with pytest.raises(DataError, match="the file has too many columns"):
        read_table(path)


def test_an_unclosed_string_costs_no_more_than_its_length(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n' + "[" * 300 + '"' + '\\"' * 200_000 + "\n")
    assert [r.row for r in read_rows(path).refused] == [2]
