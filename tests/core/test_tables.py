"""A bad file is one clear error, a bad row is one refused row, and the rest is taken."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import DataError
from core.tables import Columns, Refused, Rows, read_rows, write_quarantine

STREAM = Columns(label="label", time="timestamp")
HEADER = "request_id,timestamp,user_id,text,label,domain\n"
GOOD = "r1,2026-01-05 08:00:00,u1,hello there,greeting,talk\n"
LAST = "r9,2026-01-06 08:00:00,u9,good bye,farewell,talk\n"


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def make(content: str | bytes, name: str = "stream.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def between(middle: str | bytes) -> bytes:
    """A stream with something between two good rows."""
    middle = middle.encode() if isinstance(middle, str) else middle
    return (HEADER + GOOD).encode() + middle + LAST.encode()


def ids(rows: Rows) -> list[str]:
    return list(rows.frame["request_id"])


def test_a_stream_is_read_whole(file: Any) -> None:
    rows = read_rows(file(HEADER + GOOD + LAST), STREAM)
    assert rows.refused == []
    assert rows.frame.to_dict("records")[0] == {
        "request_id": "r1",
        "timestamp": pd.Timestamp("2026-01-05 08:00:00", tz="UTC"),
        "user": "u1",
        "text": "hello there",
        "label": "greeting",
        "segments": {"domain": "talk"},
    }


def test_training_rows_need_only_texts_and_labels(file: Any) -> None:
    rows = read_rows(
        file("text,label\nhi,greeting\nbye,farewell\n", "train.csv"), Columns(label="label")
    )
    assert ids(rows) == ["train-2", "train-3"]
    assert list(rows.frame["label"]) == ["greeting", "farewell"]
    assert rows.frame["timestamp"].isna().all()
    assert list(rows.frame["segments"]) == [{}, {}]


def test_columns_may_have_any_name(file: Any) -> None:
    path = file("utterance;intent;at\n".replace(";", ",") + "hi,greeting,2026-01-05T08:00:00+01:00\n")
    rows = read_rows(path, Columns(text="utterance", label="intent", time="at"))
    assert rows.frame["timestamp"][0] == datetime(2026, 1, 5, 7, tzinfo=UTC)
    assert rows.frame["label"][0] == "greeting"


@pytest.mark.parametrize("columns", [Columns(), Columns(label="label"), Columns(label="domain")])
def test_the_truth_is_never_a_segment(file: Any, columns: Columns) -> None:
    segments = read_rows(file(HEADER + GOOD), columns).frame["segments"][0]
    assert "label" not in segments
    assert columns.label not in segments


def test_the_three_formats_say_the_same(file: Any, tmp_path: Path) -> None:
    first = read_rows(file(HEADER + GOOD + LAST), STREAM).frame
    frame = pd.read_csv(tmp_path / "stream.csv", parse_dates=["timestamp"])
    frame.astype({"domain": "category"}).to_parquet(tmp_path / "stream.parquet")
    lines = pd.read_csv(tmp_path / "stream.csv").to_json(orient="records", lines=True)
    (tmp_path / "stream.ndjson").write_text(lines, encoding="utf-8")
    for name in ("stream.parquet", "stream.ndjson"):
        pd.testing.assert_frame_equal(read_rows(tmp_path / name, STREAM).frame, first)


def test_reading_twice_gives_the_same_ids(file: Any) -> None:
    path = file("text\nhi\n\nbye\n", "a.csv")
    assert ids(read_rows(path)) == ids(read_rows(path)) == ["a-2", "a-4"]


def test_spreadsheet_habits_are_understood(file: Any) -> None:
    content = "\ufeff" + HEADER + GOOD + 'r2,2026-01-05 09:00:00,,"two\nlines, ""quoted""",x,\n' + LAST
    rows = read_rows(file(content.replace("\n", "\r\n")), STREAM)
    assert rows.refused == []
    assert rows.frame["text"][1] == 'two\r\nlines, "quoted"'
    assert (rows.frame["user"][1], rows.frame["segments"][1]) == ("", {})


ROWS = {
    "empty text": ("r2,2026-01-05 09:00:00,u,,x,d\n", "an empty text", ""),
    "white text": ("r2,2026-01-05 09:00:00,u,  \t ,x,d\n", "an empty text", "  \\t "),
    "long text": (
        f"r2,2026-01-05 09:00:00,u,{'y' * 100_000},x,d\n",
        "the text has 100000 characters, at most 10000 are taken",
        "y" * 79 + "…",
    ),
    "longer than csv allows": (
        f"r2,2026-01-05 09:00:00,u,{'y' * 200_000},x,d\n",
        "the text has 200000 characters, at most 10000 are taken",
        "y" * 79 + "…",
    ),
    "invalid UTF-8": (
        b"r2,2026-01-05 09:00:00,u,caf\xe9,x,d\n",
        "bytes that are not UTF-8",
        "caf\\xe9",
    ),
    "NUL": (
        b"r2,2026-01-05 09:00:00,u,a\x00b,x,d\n",
        "a NUL character",
        "a\\x00b",
    ),
    "not a time": (
        "r2,05/01/26 at nine,u,hi,x,d\n",
        "not a time after 1970, expected ISO 8601 like 2026-01-05 08:30:00",
        "05/01/26 at nine",
    ),
    "before 1970": (
        "r2,1969-12-31 09:00:00,u,hi,x,d\n",
        "not a time after 1970, expected ISO 8601 like 2026-01-05 08:30:00",
        "1969-12-31 09:00:00",
    ),
    "no time": (
        "r2,,u,hi,x,d\n",
        "not a time after 1970, expected ISO 8601 like 2026-01-05 08:30:00",
        "",
    ),
    "out of order": (
        "r2,2026-01-05 07:59:59,u,hi,x,d\n",
        "the clock goes back: 2026-01-05 07:59:59 is before 2026-01-05 08:00:00 of row 2",
        "2026-01-05 07:59:59",
    ),
    "duplicate id": ("r1,2026-01-05 09:00:00,u,hi,x,d\n", "the request id is already in row 2", "r1"),
    "no id": (",2026-01-05 09:00:00,u,hi,x,d\n", "no request id", ""),
    "no label": ("r2,2026-01-05 09:00:00,u,hi,,d\n", "no label", ""),
    "too few fields": (
        "r2,2026-01-05 09:00:00,u,he\n",
        "only 4 of 6 fields (a half-written line?)",
        "r2,2026-01-05 09:00:00,u,he",
    ),
    "too many fields": (
        "r2,2026-01-05 09:00:00,u,hello, you,x,d\n",
        "7 fields where the header has 6 (a comma outside quotes?)",
        "r2,2026-01-05 09:00:00,u,hello, you,x,d",
    ),
    "half a quote": (
        'r2,2026-01-05 09:00:00,u,"hello\n',
        "a quote is opened and not properly closed (a half-written line?)",
        'r2,2026-01-05 09:00:00,u,"hello',
    ),
}


@pytest.mark.parametrize(("line", "reason", "value"), ROWS.values(), ids=ROWS.keys())
def test_a_bad_row_is_refused_alone(file: Any, line: str | bytes, reason: str, value: str) -> None:
    rows = read_rows(file(between(line)), STREAM)
    assert rows.refused == [Refused(3, reason, value)]
    assert ids(rows) == ["r1", "r9"]


@pytest.mark.parametrize(("line", "reason", "value"), ROWS.values(), ids=ROWS.keys())
def test_a_bad_row_may_be_the_only_one(file: Any, line: str | bytes, reason: str, value: str) -> None:
    whole = line.encode() if isinstance(line, str) else line
    rows = read_rows(file(HEADER.encode() + whole), STREAM)
    assert len(rows.frame) + len(rows.refused) == 1
    assert list(rows.frame.columns) == ["request_id", "timestamp", "user", "text", "label", "segments"]


@pytest.mark.parametrize("cut", range(1, len(LAST) - 6))
def test_a_file_cut_anywhere_in_its_last_row_loses_only_that(file: Any, cut: int) -> None:
    rows = read_rows(file((HEADER + GOOD + LAST)[: len(HEADER + GOOD) + cut]), STREAM)
    assert ids(rows) == ["r1"]
    assert [r.row for r in rows.refused] == [3]


def test_an_open_quote_does_not_take_the_rows_after_it(file: Any) -> None:
    broken = 'r2,2026-01-05 09:00:00,u,"cut off\n'
    quoted = 'r{},2026-01-05 10:00:00,u,"a, b",x,d\n'
    rows = read_rows(file(between(broken + "".join(quoted.format(i) for i in range(3, 9)))), STREAM)
    assert [r.row for r in rows.refused] == [3]
    assert ids(rows) == ["r1", *(f"r{i}" for i in range(3, 10))]


def test_rows_are_counted_as_an_editor_counts_lines(file: Any) -> None:
    rows = read_rows(
        file(between('r2,2026-01-05 09:00:00,u,"1\n2\n3",x,d\n\nr3,never,u,hi,x,d\n')), STREAM
    )
    assert ids(rows) == ["r1", "r2", "r9"]
    assert [r.row for r in rows.refused] == [7]


def test_a_refused_row_does_not_move_the_clock_or_take_the_id(file: Any) -> None:
    rows = read_rows(file(between("r2,2027-01-01,u,,x,d\nr2,2026-01-05 09:00:00,u,hi,x,d\n")), STREAM)
    assert ids(rows) == ["r1", "r2", "r9"]


def test_a_label_that_was_never_declared_is_refused_with_the_nearest(file: Any) -> None:
    content = between("r2,2026-01-05 09:00:00,u,hi,greetings,d\nr3,2026-01-05 09:00:00,u,hi,zzz,d\n")
    rows = read_rows(file(content), STREAM, labels=["greeting", "farewell"])
    assert [(r.reason, r.value) for r in rows.refused] == [
        ("a label that was never declared; did you mean 'greeting'?", "greetings"),
        ("a label that was never declared", "zzz"),
    ]


def test_the_limit_of_a_text_can_be_set(file: Any) -> None:
    rows = read_rows(file(HEADER + GOOD + LAST), STREAM, max_text_characters=8)
    assert [r.reason for r in rows.refused] == ["the text has 11 characters, at most 8 are taken"]


JSON_LINES = {
    "half a line": ('{"text": "he', "not a whole JSON object (a half-written line?)"),
    "a list": ("[1, 2]", "not a JSON object"),
    "deep": ("[" * 100_000, "not a whole JSON object (a half-written line?)"),
    "null": ('{"text": null}', "no text"),
    "no text": ('{"body": "hi"}', "no text"),
    "number": ('{"text": 3}', "the text is of type int, expected a string"),
    "half a character": ('{"text": "\\ud83d"}', "bytes that are not UTF-8"),
    "NUL": ('{"text": "a\\u0000b"}', "a NUL character"),
    "invalid UTF-8": (b'{"text": "caf\xe9"}', "bytes that are not UTF-8"),
}


@pytest.mark.parametrize(("line", "reason"), JSON_LINES.values(), ids=JSON_LINES.keys())
def test_a_bad_json_line_is_refused_alone(file: Any, line: str | bytes, reason: str) -> None:
    line = line.encode() if isinstance(line, str) else line
    rows = read_rows(file(b'{"text": "a"}\n' + line + b'\n\n{"text": "b"}', "x.jsonl"))
    assert [(r.row, r.reason) for r in rows.refused] == [(2, reason)]
    assert ids(rows) == ["x-1", "x-4"]


def test_json_values_become_segments_as_strings(file: Any) -> None:
    line = json.dumps(
        {"text": "a", "n": 3, "yes": True, "no": None, "list": [1, "é"], "nan": float("nan")}
    )
    rows = read_rows(file(line, "x.jsonl"))
    assert rows.frame["segments"][0] == {"n": "3", "yes": "true", "list": '[1, "é"]'}


def test_parquet_rows_are_checked_too(tmp_path: Path) -> None:
    broken = pa.array([b"fine", b"caf\xe9", None]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken, "n": [1, 2, 3]}), tmp_path / "x.parquet")
    rows = read_rows(tmp_path / "x.parquet")
    assert [(r.row, r.reason) for r in rows.refused] == [
        (2, "bytes that are not UTF-8"),
        (3, "no text"),
    ]
    assert rows.frame["segments"][0] == {"n": "1"}


FILES: dict[str, tuple[str, bytes, str]] = {
    "kind": ("a.xlsx", b"x", r"this kind of file cannot be read\n.*\n.*got:.*\.xlsx\n.*\.csv, \.jsonl"),
    "no suffix": ("a", b"x", "a name without a suffix"),
    "empty": ("a.csv", b"", "the file is empty"),
    "header only": ("a.csv", b"text,label\n\n", "the file has no rows"),
    "blank lines": ("a.csv", b"\n\n\n", "not a CSV file\n.*\n.*only blank lines"),
    "binary": ("a.csv", b"\x80\x02\x00\xff\xfe\n\x00\x00", "this is not a CSV file"),
    "parquet as csv": ("a.csv", b"PAR1\x00\x00", "not what its name says\n.*\n.*Parquet\n.*UTF-8 text"),
    "zip as csv": ("a.csv", b"PK\x03\x04\x00", "a zip archive or a spreadsheet"),
    "utf-16": ("a.csv", "text\nhi\n".encode("utf-16"), "UTF-16 text"),
    "csv as parquet": ("a.parquet", b"text\nhi\n", "not what its name says"),
    "damaged parquet": ("a.parquet", b"PAR1" + b"\x00" * 99, "this Parquet file is damaged"),
    "prose as jsonl": ("a.jsonl", b"hello\nyou\n", "this is not a JSONL file"),
    "same column": ("a.csv", b"text,text\na,b\n", "a column is there twice\n.*\n.*text"),
    "semicolons": ("a.csv", b"text;label\na;b\n", "separated by something other than a comma"),
}


@pytest.mark.parametrize(("name", "content", "match"), FILES.values(), ids=FILES.keys())
def test_a_file_that_is_no_table_is_one_error(file: Any, name: str, content: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_rows(file(content, name))


def test_a_missing_column_is_named_with_the_flag_to_set(file: Any) -> None:
    path = file("utterance,Label,when\nhi,x,2026\n")
    with pytest.raises(DataError) as caught:
        read_rows(path, Columns(text="utterence", label="label"))
    assert str(caught.value) == (
        f"missing columns: utterence, label\n"
        f"  where:    {path}\n"
        f"  got:      columns utterance, Label, when\n"
        f"  expected: a column with the text, a column with the label\n"
        f"  do:       name it: --text-column utterance --label-column Label"
    )


def test_a_file_that_is_not_there_is_one_error(file: Any, tmp_path: Path) -> None:
    file("x", "stream.csv")
    with pytest.raises(DataError, match=r"no such file\n.*\n.*did you mean .*stream\.csv\?"):
        read_rows(tmp_path / "steam.csv")
    with pytest.raises(DataError, match="this is a folder"):
        read_rows(tmp_path)


def test_the_quarantine_says_row_reason_and_value(tmp_path: Path) -> None:
    refused = [Refused(3, "an empty text", ""), Refused(9, "no label", 'a "b", c')]
    path = write_quarantine(refused, tmp_path / "new" / "stream.csv")
    assert path.read_text(encoding="utf-8") == (
        'row,reason,value\n3,an empty text,\n9,no label,"a ""b"", c"\n'
    )
    assert [p.name for p in path.parent.iterdir()] == ["stream.csv"]


@pytest.mark.parametrize("bad", ['x,"open', "y" * 99, 'a"b,"c"d'])
def test_the_time_grows_with_the_rows_also_for_a_broken_file(file: Any, bad: str) -> None:
    rows = read_rows(file("text,label\n" + f"{bad}\n" * 40_000), Columns(label="label"))
    assert len(rows.refused) == 40_000
