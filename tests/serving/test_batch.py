"""A file of rows through the serving path: every format, every kill, every wrong input."""

from __future__ import annotations

import csv
import json
import shutil
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import DataError, ModelError
from core.ids import hash_user
from core.state import Champion
from core.store import Store
from core.store.state import StateRepository
from core.stored import Remembered
from serving import batch
from serving.batch import BatchBegun, Done, FileClassifier, Job
from serving.router import route
from serving.service import Service
from tests.fake_models import Shelf, roll_out

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
ROWS = [{"id": f"t{i}", "text": f"text {i}", "user_id": f"u{i}"} for i in range(5)]
MANY = [{"text": f"text {i}"} for i in range(2 * batch.CHUNK + 50)]  # three parts
BY_ITS_NAME: dict[str, Callable[[Path, pd.DataFrame], Any]] = {
    ".csv": lambda path, rows: rows.to_csv(path, index=False),
    ".jsonl": lambda path, rows: rows.to_json(path, orient="records", lines=True),
    ".parquet": lambda path, rows: rows.to_parquet(path),
}


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing catches it."""


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    BY_ITS_NAME[path.suffix](path, pd.DataFrame(rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list(pq.read_table(path).to_pylist())


@pytest.fixture
def answer(store: Store, service: Service, tmp_path: Path) -> FileClassifier:
    return FileClassifier(store, service, 100, tmp_path / "quarantine.csv")


@pytest.mark.parametrize("given", BY_ITS_NAME)
@pytest.mark.parametrize("asked", BY_ITS_NAME)
def test_every_format_in_and_out(
    answer: FileClassifier, tmp_path: Path, given: str, asked: str
) -> None:
    job = Job(write(tmp_path / f"in{given}", ROWS), tmp_path / f"out{asked}")
    done = answer.run(job, NOW)
    assert done == Done(5, 0, job.out.stat().st_size)
    rows = read(job.out)
    assert [{k: r[k] for k in ("id", "text", "user_id")} for r in rows] == ROWS
    assert list(rows[0]) == ["id", "text", "user_id", *batch.ADDED]
    assert {(r["model_version"], r["variant"]) for r in rows} == {("1", "champion")}
    assert all(r["label"] in ("card", "cash") and 0.5 <= float(r["score"]) <= 1 for r in rows)
    assert sorted(p.name for p in tmp_path.glob("out*")) == [job.out.name]


def test_answers_are_logged_as_those_of_the_server_are(
    answer: FileClassifier, store: Store, shelf: Shelf, tmp_path: Path
) -> None:
    job = Job(write(tmp_path / "in.csv", ROWS), tmp_path / "out.jsonl")
    answer.run(job, NOW)
    window = store.answers.window(NOW, NOW + timedelta(microseconds=1))
    assert sorted(window.rows["prediction_id"]) == sorted(r["prediction_id"] for r in read(job.out))
    assert set(window.rows["user_key"]) == {hash_user(r["user_id"]) for r in ROWS}
    assert shelf.encoder.reads == 5


def test_a_rollout_routes_rows_by_their_user(
    answer: FileClassifier, store: Store, tmp_path: Path
) -> None:
    rollout = roll_out(store, "ab_test")
    many = [{"text": f"text {i}", "user_id": f"u{i % 20}"} for i in range(60)]
    job = Job(write(tmp_path / "in.csv", many), tmp_path / "out.jsonl")
    answer.run(job, NOW)
    arms = [r["variant"] for r in read(job.out)]
    assert arms == [route(hash_user(r["user_id"]), "", rollout) for r in many]
    assert set(arms) == {"champion", "challenger"}


def test_columns_keep_their_types_in_parquet(answer: FileClassifier, tmp_path: Path) -> None:
    day = pa.array([NOW] * 2, pa.timestamp("ms", tz="UTC"))
    kinds = {"text": ["a", "b"], "n": pa.array([1, None], pa.int16()), "day": day, "of": [[1], [2, 3]]}
    pq.write_table(pa.table(kinds), tmp_path / "in.parquet")
    answer.run(Job(tmp_path / "in.parquet", tmp_path / "out.parquet"), NOW)
    before, after = (pq.read_table(tmp_path / f"{n}.parquet") for n in ("in", "out"))
    assert after.select(before.column_names).equals(before)
    lines = ['{"text": "a", "n": 1, "x": 1, "b": true}', '{"text": "b", "n": 2.5, "x": "y"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    answer.run(Job(tmp_path / "in.jsonl", tmp_path / "mixed.parquet"), NOW)
    [first, second] = read(tmp_path / "mixed.parquet")
    assert [first[c] for c in "nxb"] == [1.0, "1", True]
    assert [second[c] for c in "nxb"] == [2.5, "y", None]


def test_a_label_that_is_there_already_stays(answer: FileClassifier, tmp_path: Path) -> None:
    labelled = write(tmp_path / "in.csv", [{"text": "a", "label": "truth"}])
    answer.run(Job(labelled, tmp_path / "out.jsonl"), NOW)
    [row] = read(tmp_path / "out.jsonl")
    assert row["label"] == "truth"
    assert row["predicted_label"] in ("card", "cash")
    again = Job(write(tmp_path / "both.jsonl", [row]), tmp_path / "twice.csv")
    with pytest.raises(DataError, match="columns of the names its answers would get"):
        answer.run(again, NOW)


def test_killed_after_any_part_it_ends_as_if_it_was_not(
    answer: FileClassifier, store: Store, shelf: Shelf, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.csv", MANY)
    killed, calm = Job(source, tmp_path / "killed.csv"), Job(source, tmp_path / "calm.csv")

    def die(_rows: int, new: int) -> None:
        if new:
            raise Killed

    for number in (1, 2, 3):
        with pytest.raises(Killed):
            answer.run(killed, NOW + timedelta(days=number - 1), die)
        assert killed.part(number).exists()
    answer.run(killed, NOW + timedelta(days=3))
    answer.run(calm, NOW)
    assert killed.out.read_bytes() == calm.out.read_bytes()
    assert store.answers.count() == len(MANY)  # one `now` and one file are one batch, wherever it goes
    assert shelf.encoder.reads == len(MANY)


def test_killed_around_its_end_it_ends_once(store: Store, service: Service, tmp_path: Path) -> None:
    class Dying(StateRepository):
        """Dies before or after it remembers that the batch is done."""

        after = False

        def write(self, record: Remembered, name: str = "") -> None:
            done = isinstance(record, BatchBegun) and record.done
            if done and not self.after:
                raise Killed
            super().write(record, name)
            if done:
                raise Killed

    remembers = Store(store.url)
    dying = remembers.state = Dying(remembers.database)
    job = Job(write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv")
    for after in (False, True):
        dying.after = after
        with pytest.raises(Killed):
            FileClassifier(remembers, service, 100, tmp_path / "q.csv").run(job, NOW)
        assert not job.out.exists()
    remembers.close()
    done = FileClassifier(store, service, 100, tmp_path / "q.csv").run(job, NOW)
    assert len(read(job.out)) == done.rows == store.answers.count() == 5
    assert not job.parts.exists()


def test_a_finished_batch_is_not_done_again(
    answer: FileClassifier, store: Store, shelf: Shelf, tmp_path: Path
) -> None:
    job = Job(write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv")
    done = answer.run(job, NOW)
    told: list[int] = []
    assert answer.run(job, NOW + timedelta(days=1), lambda rows, new: told.append(rows)) == done
    assert (told, shelf.encoder.reads, store.answers.count()) == ([], 5, 5)
    job.out.unlink()  # asked anew: the model may be another by now
    store.state.write(Champion("2"))
    answer.run(job, NOW + timedelta(days=1))
    assert {r["model_version"] for r in read(job.out)} == {"2"}


def test_a_file_of_somebody_else_is_not_replaced(answer: FileClassifier, tmp_path: Path) -> None:
    job = Job(write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv")
    job.out.write_text("mine")
    with pytest.raises(DataError, match="the output is there already"):
        answer.run(job, NOW)
    with pytest.raises(DataError, match="the output is there already"):
        answer.run(Job(job.source, job.source), NOW)
    job.out.unlink()
    answer.run(job, NOW)
    write(job.source, ROWS[:3])
    with pytest.raises(DataError, match="the output is there already"):
        answer.run(job, NOW)
    assert len(read(job.out)) == 5


def test_an_input_that_changed_is_refused_until_the_parts_are_gone(
    answer: FileClassifier, tmp_path: Path
) -> None:
    job = Job(write(tmp_path / "in.csv", MANY), tmp_path / "out.csv")

    def die(rows: int, _new: int) -> None:
        if rows:
            raise Killed

    def change(rows: int, _new: int) -> None:
        if rows:
            write(job.source, MANY[:5])

    with pytest.raises(Killed):
        answer.run(job, NOW, die)
    write(job.source, MANY[1:])
    with pytest.raises(DataError, match=r"not what this batch began with[\s\S]*remove .*out.csv.parts"):
        answer.run(job, NOW)
    shutil.rmtree(job.parts)
    with pytest.raises(DataError, match="not what this batch began with"):
        answer.run(job, NOW, change)
    assert not job.out.exists()


def test_bad_rows_are_told_and_the_others_answered(answer: FileClassifier, tmp_path: Path) -> None:
    lines = ['{"text": "good"}', '{"text": ', '{"text": " "}', '{"words": "x"}', '{"text": 3}']
    lines += [json.dumps({"text": "x" * 101}), '{"text": "line\\u2028break"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    done = answer.run(Job(tmp_path / "in.jsonl", tmp_path / "out.csv"), NOW)
    assert (done.rows, done.refused) == (2, 5)
    assert [r["text"] for r in read(tmp_path / "out.csv")] == ["good", "line\u2028break"]
    refused = read(tmp_path / "quarantine.csv")
    assert [(r["row"], r["reason"]) for r in refused] == [
        ("2", "not a whole JSON object (a half-written line?)"),
        ("3", "an empty text"),
        ("4", "no text"),
        ("5", "the text is of type int, expected a string"),
        ("6", "the text has 101 characters, at most 100 are taken"),
    ]


@pytest.mark.parametrize("suffix", BY_ITS_NAME)
def test_no_rows_in_no_rows_out(answer: FileClassifier, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in.csv").write_text("text,id\n")
    job = Job(tmp_path / "in.csv", tmp_path / f"out{suffix}")
    assert answer.run(job, NOW).rows == 0
    assert read(job.out) == []
    if suffix == ".parquet":
        assert pq.read_schema(job.out).field("score").type == pa.float64()


@pytest.mark.parametrize(
    ("source", "out", "fault"),
    [
        ("none.csv", "out.csv", "no such file"),
        ("empty.csv", "out.csv", "the file is empty"),
        ("in.csv", "out.xlsx", "this kind of file cannot be written"),
        ("in.csv", "in.csv/out.csv", "the output cannot be written here"),
        ("words.csv", "out.csv", r"missing column: text\n[\s\S]*name it: --text-column texts"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    answer: FileClassifier, store: Store, tmp_path: Path, source: str, out: str, fault: str
) -> None:
    write(tmp_path / "in.csv", ROWS)
    (tmp_path / "words.csv").write_text("texts\nhello\n")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=fault):
        answer.run(Job(tmp_path / source, tmp_path / out), NOW)
    assert store.answers.count() == 0
    assert not (tmp_path / f"{out}.parts").exists()


def test_without_a_model_nothing_is_begun(shelf: Shelf, tmp_path: Path) -> None:
    bare = Store(f"sqlite:///{tmp_path / 'bare.db'}")
    job = Job(write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv")
    with pytest.raises(ModelError, match="no model serves yet"):
        FileClassifier(bare, Service(bare, shelf.load, 100), 100, tmp_path / "q.csv").run(job, NOW)
    assert not job.parts.exists()
    bare.close()


def test_two_processes_do_not_write_one_output(answer: FileClassifier, tmp_path: Path) -> None:
    job = Job(write(tmp_path / "in.csv", ROWS), tmp_path / "out.csv")

    def meet(rows: int, _new: int) -> None:
        if rows:
            with pytest.raises(DataError, match="another process is writing this batch"):
                answer.run(job, NOW)

    answer.run(job, NOW, meet)
    assert len(read(job.out)) == 5


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(answer: FileClassifier, tmp_path: Path) -> None:
    padding = "x" * 4000
    with (tmp_path / "in.jsonl").open("w") as file:
        file.writelines(f'{{"text": "text {i}", "padding": "{padding}"}}\n' for i in range(6000))
    job = Job(tmp_path / "in.jsonl", tmp_path / "out.csv")
    tracemalloc.start()
    try:
        answer.run(job, NOW)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert job.source.stat().st_size > 24e6
    assert peak < 12e6
