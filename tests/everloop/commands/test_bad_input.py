"""Whatever is wrong with what a user hands in: one clear error, or a quarantine with reasons; and what
was stored before stays. All of it through `everloop replay`."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import core.database
from core.state import ReplayPosition
from core.store import Store
from everloop.init import init
from everloop.sample import bundled
from serving.service import Service
from tests.command_line import Ran, everloop, refused
from tests.core.models.tiny import save_tiny_encoder
from tests.small_loop import BUSY, TEMPLATE

HEADER = "request_id,timestamp,user_id,text,label,topic\n"
INTENTS = [
    "cancel_order",
    "change_address",
    "exchange_item",
    "refund_status",
    "return_item",
    "track_order",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of the sample: stream.csv with 12 requests, train.csv and eval.csv."""
    folder = tmp_path_factory.mktemp("data")
    for name, count in (("stream", 12), ("train", 60), ("eval", 30)):
        lines = (bundled() / f"{name}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / f"{name}.csv").write_text("".join(lines[: count + 1]), encoding="utf-8")
    return folder


def a_workspace(root: Path, encoder: str, **sections: Any) -> Path:
    place = init(root)
    written = {**yaml.safe_load(TEMPLATE.read_text(encoding="utf-8")), **BUSY, **sections}
    written["model"] = {"encoder": encoder, "max_tokens": 32}
    place.params.write_text(yaml.safe_dump(written), encoding="utf-8")
    return place.root


def arguments(data: Path, place: Path, *more: object) -> tuple[object, ...]:
    files = (data / "stream.csv", "--initial", data / "train.csv", "--eval", data / "eval.csv")
    return ("replay", *files, "-w", place, *more)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, data: Path, encoder: str) -> Path:
    """A workspace in which a good stream was replayed: what bad input must not harm."""
    place = a_workspace(tmp_path_factory.mktemp("bad") / "shop", encoder)
    ran = everloop(*arguments(data, place))
    assert (ran.code, ran.out) == (0, "")
    assert "warning" not in ran.err
    return place


@pytest.fixture(autouse=True)
def nothing_is_lost(replayed: Path) -> Iterator[None]:
    """After every test the good replay is as it was."""
    before = counts(replayed)
    yield
    assert counts(replayed) == before
    assert before["predictions"] >= 12


def counts(place: Path) -> dict[str, int]:
    with sqlite3.connect(place / ".everloop" / "store.db") as db:
        tables = [r[0] for r in db.execute("select name from sqlite_master where type = 'table'")]
        found = {t: db.execute(f"select count(*) from {t}").fetchone()[0] for t in tables}
    db.close()
    return found


# -- files that cannot be used --------------------------------------------------------------------


def test_a_missing_column(data: Path, replayed: Path, tmp_path: Path) -> None:
    stream = tmp_path / "stream.csv"
    stream.write_text("utterance,intent,at\nhi,track_order,2026-01-05\n")
    assert refused("replay", stream, *arguments(data, replayed)[2:]) == (
        "error: missing columns: text, label, timestamp\n"
        f"  where:    {stream}\n"
        "  got:      columns utterance, intent, at\n"
        "  expected: a column with the text, a column with the label, a column with the time\n"
        "  do:       name it: --text-column NAME --label-column NAME --time-column NAME\n"
    )


def test_a_column_of_almost_that_name(data: Path, replayed: Path, tmp_path: Path) -> None:
    stream = tmp_path / "stream.csv"
    stream.write_text("texts,label,timestamp\nhi,track_order,2026-01-05\n")
    error = refused("replay", stream, *arguments(data, replayed)[2:])
    assert error.endswith("  do:       name it: --text-column texts\n")


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("stream.csv", b"", "the file is empty"),
        ("stream.csv", HEADER.encode(), "the file has no rows"),
        ("stream.csv", b"PK\x03\x04rest", "the file is not what its name says"),
        ("stream.parquet", b"PAR1rest", "this Parquet file is damaged"),
        ("stream.xlsx", b"x", "this kind of file cannot be read"),
        ("missing.csv", None, "no such file"),
    ],
)
def test_a_file_that_is_no_table(
    data: Path, replayed: Path, tmp_path: Path, name: str, content: bytes | None, error: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    found = refused("replay", tmp_path / name, *arguments(data, replayed)[2:])
    assert found.startswith(f"error: {error}\n  where:    {tmp_path / name}\n")


def test_nothing_is_made_for_a_stream_that_cannot_be_read(data: Path, tmp_path: Path) -> None:
    refused("replay", tmp_path / "no.csv", *arguments(data, tmp_path / "new")[2:])
    assert not (tmp_path / "new").exists()


# -- rows that cannot be used ---------------------------------------------------------------------


def bad_rows(known: str) -> bytes:
    when = "2026-01-05 23:00:00"
    rows = [
        f"b1,{when},u,where is it,track_ordr,x\n".encode(),
        f"b2,{when},u,,track_order,x\n".encode(),
        f"b3,{when},u,{'y' * 100_000},track_order,x\n".encode(),
        f"b4,{when},u,caf".encode() + b"\xe9,track_order,x\n",
        b"b5,2026-01-04 23:00:00,u,too early,track_order,x\n",
        f"{known},{when},u,once more,track_order,x\n".encode(),
        f"b7,{when},u,half".encode(),
    ]
    return b"".join(rows)


def test_bad_rows_are_refused_with_reasons_and_the_others_taken(
    data: Path, encoder: str, tmp_path: Path
) -> None:
    place = a_workspace(tmp_path / "shop", encoder, labeling={"labels": INTENTS})
    good = (data / "stream.csv").read_bytes()
    stream = tmp_path / "stream.csv"
    stream.write_bytes(good + bad_rows(first_of(good)))
    ran = everloop("replay", stream, *arguments(data, place)[2:], "--json", tmp_path / "a" / "r.json")
    page = place / ".everloop" / "quarantine" / "stream-stream.csv"
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.splitlines()[0] == (
        "warning: stream.csv: 7 rows refused, 12 taken (row 14: a label that was never declared; did "
        f"you mean 'track_order'?); the reasons are in {page}"
    )
    assert page.read_text(encoding="utf-8").splitlines() == [
        "row,reason,value",
        "14,a label that was never declared; did you mean 'track_order'?,track_ordr",
        "15,an empty text,",
        f'16,"the text has 100000 characters, at most 10000 are taken",{"y" * 79}…',
        "17,bytes that are not UTF-8,caf\\xe9",
        last_of(good) + ",2026-01-04 23:00:00",
        f"19,the request id is already in row 2,{first_of(good)}",
        '20,only 4 of 6 fields (a half-written line?),"b7,2026-01-05 23:00:00,u,half"',
    ]
    assert json.loads((tmp_path / "a" / "r.json").read_text())["requests"] == 12


def first_of(stream: bytes) -> str:
    return stream.decode().splitlines()[1].split(",")[0]


def last_of(stream: bytes) -> str:
    last = stream.decode().splitlines()[-1].split(",")[1]
    return f"18,the clock goes back: 2026-01-04 23:00:00 is before {last} of row 13"


def test_no_row_can_be_used(data: Path, replayed: Path, tmp_path: Path) -> None:
    stream = tmp_path / "broken.csv"
    stream.write_text(HEADER + "r1,2026-01-05,u,,track_order,x\nr2,soon,u,hi,track_order,x\n")
    page = replayed / ".everloop" / "quarantine" / "stream-broken.csv"
    assert refused("replay", stream, *arguments(data, replayed)[2:]) == (
        "error: no row of this file can be used\n"
        f"  where:    {stream}\n"
        "  got:      row 2: an empty text\n"
        "  expected: at least one good row\n"
        f"  do:       see the reasons in {page}\n"
    )
    assert page.read_text().splitlines()[1:] == [
        "2,an empty text,",
        '3,"not a time after 1970, expected ISO 8601 like 2026-01-05 08:30:00",soon',
    ]


def test_columns_of_other_names_in_jsonl_and_parquet(
    data: Path, encoder: str, replayed: Path, tmp_path: Path
) -> None:
    """The same rows are the same replay, however they are written: the Parquet finds it done."""
    place = a_workspace(tmp_path / "shop", encoder)
    columns = ("--text-column", "utterance", "--label-column", "intent", "--time-column", "at")
    for suffix in ("jsonl", "parquet"):
        stream, initial, evaluation = (renamed(data / f"{n}.csv", tmp_path, suffix) for n in NAMES)
        files = (stream, "--initial", initial, "--eval", evaluation)
        ran = everloop("replay", *files, "-w", place, *columns, "--json", tmp_path / f"{suffix}.json")
        assert (ran.code, ran.out) == (0, "")
        assert "warning" not in ran.err
    assert counts(place) == counts(replayed)
    first, second = (json.loads((tmp_path / f"{s}.json").read_text()) for s in ("jsonl", "parquet"))
    assert first["requests"] == 12
    assert first["daily_accuracy"] == second["daily_accuracy"]


NAMES = ("stream", "train", "eval")


def renamed(path: Path, folder: Path, suffix: str) -> Path:
    """The same table under other column names, as another format."""
    frame = pd.read_csv(path).rename(
        columns={"text": "utterance", "label": "intent", "timestamp": "at"}
    )
    to = folder / f"{path.stem}.{suffix}"
    if suffix == "jsonl":
        to.write_text(frame.to_json(orient="records", lines=True), encoding="utf-8")
    else:
        times = {"at": pd.to_datetime(frame["at"])} if "at" in frame else {}
        frame.assign(**times).to_parquet(to)
    return to


# -- params and workspaces ------------------------------------------------------------------------


def test_an_unknown_param_and_a_wrong_type(data: Path, encoder: str, tmp_path: Path) -> None:
    place = a_workspace(tmp_path / "shop", encoder)
    text = (place / "params.yaml").read_text()
    wrong = text.replace("max_tokens: 32", "max_tokns: 32").replace("port: 8000", "port: http")
    (place / "params.yaml").write_text(wrong)
    error = refused(*arguments(data, place))
    assert re.fullmatch(
        "error: params.yaml has 2 faults\n"
        r"  - line \d+, model.max_tokns: unknown key; did you mean 'max_tokens'\?"
        "\n"
        r"  - line \d+, serving.port: got 'http', expected a valid integer"
        "\n"
        f"  where:    {place}/params.yaml\n"
        "  do:       mend the lines above, then: everloop check\n",
        error,
    )
    assert not (place / ".everloop" / "store.db").exists()


def test_a_folder_that_is_no_workspace(data: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    assert refused(*arguments(data, tmp_path)) == (
        "error: this folder is not a workspace\n"
        f"  where:    {tmp_path}\n"
        "  got:      no params.yaml, no dvc.yaml, no .git, no .dvc\n"
        "  expected: params.yaml, dvc.yaml, .git and .dvc\n"
        f"  do:       everloop init {tmp_path}\n"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_workspace_that_is_a_file(data: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("")
    assert refused(*arguments(data, tmp_path / "shop")) == (
        "error: a workspace cannot be made here\n"
        f"  where:    {tmp_path / 'shop'}\n"
        f"  got:      [Errno 17] File exists: '{tmp_path / 'shop'}'\n"
        "  expected: a writable folder\n"
    )


def test_an_encoder_that_is_not_there(data: Path, tmp_path: Path) -> None:
    place = a_workspace(tmp_path / "shop", str(tmp_path / "no-encoder"))
    error = refused(*arguments(data, place)).splitlines()
    start = error.index("error: the encoder was not found")
    assert error[start + 1] == f"  where:    {tmp_path / 'no-encoder'}"
    assert error[-1] == "  do:       pip install 'everloop[offline]'"


# -- the store --------------------------------------------------------------------------------------


def test_a_locked_store(data: Path, replayed: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(core.database, "BUSY_SECONDS", 0.05)
    place = Path(shutil.copytree(replayed, tmp_path / "shop", symlinks=True))
    file = place / ".everloop" / "store.db"
    before = counts(place)
    begun = Store(f"sqlite:///{file}").state
    begun.write(replace(begun.read(ReplayPosition), position=0))
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert refused(*arguments(data, place)).splitlines()[-5:] == [
        "error: the store is locked by another process",
        f"  where:    sqlite:///{file}",
        "  got:      database is locked",
        "  expected: a free store within 0.05 s",
        "  do:       stop the other process or wait for it, then run this again; nothing was lost",
    ]
    holder.close()
    assert everloop(*arguments(data, place)).code == 0
    assert counts(place) == before


def test_a_store_that_is_no_database(data: Path, encoder: str, tmp_path: Path) -> None:
    place = a_workspace(tmp_path / "shop", encoder)
    file = place / ".everloop" / "store.db"
    file.write_bytes(bytes(range(256)) * 64)
    assert refused(*arguments(data, place)) == (
        "error: the store cannot be used\n"
        f"  where:    sqlite:///{file}\n"
        "  got:      file is not a database\n"
        "  do:       check that it exists and can be written, then run this again\n"
    )


def test_a_store_in_a_place_that_cannot_be_written(
    data: Path, encoder: str, tmp_path: Path, monkeypatch: Any
) -> None:
    place = a_workspace(tmp_path / "shop", encoder)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVERLOOP_STORE", f"sqlite:///{tmp_path}/file/store.db")
    error = refused(*arguments(data, place))
    assert error.startswith(
        f"error: the store cannot be made here\n  where:    {tmp_path}/file\n  got:      "
    )


def test_a_tracking_database_that_is_none(data: Path, encoder: str, tmp_path: Path) -> None:
    place = a_workspace(tmp_path / "shop", encoder)
    (place / ".everloop" / "mlflow.db").write_bytes(b"SQLite format 3\x00" + b"cut off")
    error = refused(*arguments(data, place))
    assert error.count("error: ") == 1
    assert f"error: the tracking database is damaged\n  where:    sqlite:///{place}" in error


# -- stopped by hand ------------------------------------------------------------------------------


def test_ctrl_c_says_how_to_go_on(
    data: Path, encoder: str, replayed: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    place = a_workspace(tmp_path / "shop", encoder)
    honest, calls = Service.predict, []

    def pressed(self: Service, requests: Any) -> Any:
        calls.append(len(requests))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return honest(self, requests)

    with monkeypatch.context() as patch:
        patch.setattr(Service, "predict", pressed)
        ran = everloop(*arguments(data, place))
    last = "stopped; nothing is lost, the same command again goes on from here"
    assert (ran.code, ran.out, ran.err.splitlines()[-1]) == (130, "", last)
    again: Ran = everloop(*arguments(data, place))
    assert again.code == 0
    assert counts(place) == counts(replayed)
