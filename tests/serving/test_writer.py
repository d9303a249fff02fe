"""What was acknowledged is in the store or on disk, once, whatever happens to the store."""

from __future__ import annotations

import fcntl
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import StoreError
from core.kept import Kept
from core.store import Store
from core.store.old_spools import take_over
from core.store.spool import Spool, pack
from serving.metrics import Metrics
from serving.writer import LogPromise, Writer
from tests.logs import row, stored, until, writing

SOON = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db", busy=0.1)
    yield made
    made.close()


@contextmanager
def locked(store: Store) -> Iterator[None]:
    other = sqlite3.connect(store.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


def test_rows_are_stored_and_counted_when_the_future_is_done(store: Store, tmp_path: Path) -> None:
    with writing(store, tmp_path) as writer:
        writer.put([row(0), row(0, "shadow")], 1).result(SOON)
        assert stored(store) == ["r0"]
        waits = [writer.put([row(i)], 1) for i in range(1, 50)]
        assert all(w.result(SOON) is None for w in waits)
        assert writer.state().fault == ""
    assert sorted(stored(store)) == sorted(f"r{i}" for i in range(50))
    assert store.state.counters() == {"encoder_passes.serving": 50, "texts.serving": 50}
    assert not Spool(tmp_path).path.exists()


def test_a_locked_store_is_waited_for_on_disk_and_all_of_it_lands(store: Store, tmp_path: Path) -> None:
    with writing(store, tmp_path) as writer:
        writer.put([row(0)], 1).result(SOON)
        with locked(store):
            for i in range(1, 20):
                writer.put([row(i), row(i, "shadow")], 1).result(SOON)
            state = writer.state()
            assert state.fault == "the store is locked by another process: 38 rows wait on disk"
            assert state.spooled_rows == 38
            assert state.lag_seconds > 0
            assert stored(store) == ["r0"]
        until(lambda: not writer.owes())
        assert writer.state().fault == ""
        writer.put([row(20)], 1).result(SOON)
    assert stored(store) == [f"r{i}" for i in range(21)]
    assert store.state.counters() == {"encoder_passes.serving": 21, "texts.serving": 21}


def test_a_full_spool_refuses_and_recovers(store: Store, tmp_path: Path) -> None:
    with writing(store, tmp_path, LogPromise(spool_bytes=20_000)) as writer:
        with locked(store):
            writer.put([row(0)], 1).result(SOON)
            with pytest.raises(StoreError, match="the spool is full"):
                writer.put([row(i) for i in range(1, 20)], 19).result(SOON)
            assert writer.state().fault == "the spool is full: 1 rows wait on disk"
        until(lambda: writer.state().fault == "")
        writer.put([row(20)], 1).result(SOON)
    assert stored(store) == ["r0", "r20"]


def frame(group: Kept) -> bytes:
    """As servers wrote a group before the spool was a SQLite file."""
    body = pack(group)
    return struct.pack("<III", len(body), zlib.crc32(body), len(group.rows)) + body


def test_the_next_writer_takes_what_a_dead_one_left(store: Store, tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    groups = [Kept([row(i)], 1, passes=1, number=i + 1) for i in range(2)]
    dead.append("dead", groups)
    store.answers.append(groups[:1], "dead")  # it died before it could say so
    with writing(store, tmp_path):
        until(lambda: dead.waiting("dead") == (0, 0))
    assert stored(store) == ["r0", "r1"]
    assert store.state.counters() == {"encoder_passes.serving": 2, "texts.serving": 2}


def test_files_of_an_earlier_version_are_taken_over_but_for_a_torn_frame(
    store: Store, tmp_path: Path
) -> None:
    old, refused = tmp_path / "dead.spool", tmp_path / "dead.refused.jsonl"
    groups = [Kept([row(i)], 1, passes=1, number=i + 1) for i in range(3)]
    old.write_bytes(frame(groups[0]) + frame(groups[1]) + frame(groups[1])[:100])
    refused.write_bytes(pack(groups[2]) + b"\n")
    store.answers.append(groups[:1], "dead")
    with writing(store, tmp_path):
        until(lambda: not old.exists() and not refused.exists())
        until(lambda: Spool(tmp_path).waiting("dead") == (0, 0))
    assert stored(store) == ["r0", "r1"]
    assert store.state.counters() == {"encoder_passes.serving": 2, "texts.serving": 2}
    assert [r.request_id for r in Spool(tmp_path).rows()] == ["r2"], "it stays for people to look at"


def test_the_file_of_a_living_server_of_an_earlier_version_is_left_alone(
    store: Store, tmp_path: Path
) -> None:
    old = tmp_path / "living.spool"
    old.write_bytes(frame(Kept([row(0)], 1, number=1)))
    with old.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        take_over(tmp_path)
        assert old.exists()
    take_over(tmp_path)
    assert not old.exists()


def test_one_process_at_a_time_empties_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with spool.draining() as first, Spool(tmp_path).draining() as second:
        assert (first, second) == (True, False)


def test_a_group_that_the_store_refuses_stays_and_the_rest_is_stored(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path)
    spool.append("dead", [Kept([row(i)], 1, number=i + 1) for i in (0, 2)])
    with sqlite3.connect(spool.path) as db:  # as a row that the store has a rule against
        bad = pack(Kept([row(1)], 1, number=2)).replace(b'"output":"a"', b'"output":null')
        db.execute("INSERT INTO groups VALUES ('dead', 2, 1, ?, NULL)", (bad,))
    db.close()
    with writing(store, tmp_path):
        until(lambda: spool.waiting("dead") == (0, 0))
    assert stored(store) == ["r0", "r2"]
    assert [r.request_id for r in spool.rows()] == ["r1"]
    assert "rows that the store refuses stay in" in caplog.text


def test_only_its_owner_can_read_it_and_what_is_stored_is_not_in_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    group = Kept([row(0, text="a secret")], 1, number=1)
    spool.append("w", [group])
    assert any(b"a secret" in path.read_bytes() for path in tmp_path.iterdir())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    spool.done("w", group)
    assert not any(b"a secret" in path.read_bytes() for path in tmp_path.iterdir())
    spool.close()


def test_the_same_group_again_counts_nothing(store: Store) -> None:
    groups = [Kept([row(i)], 1, passes=1, number=i + 1) for i in range(3)]
    store.answers.append(groups[:2], "w")
    store.answers.append(groups, "w")
    assert store.state.counters() == {"encoder_passes.serving": 3, "texts.serving": 3}
    store.answers.append([Kept([row(0)], 1, passes=1, number=1)], "another server that answered it too")
    assert store.state.counters() == {"encoder_passes.serving": 4, "texts.serving": 3}


def test_one_bad_row_does_not_fail_the_others(store: Store, tmp_path: Path) -> None:
    with writing(store, tmp_path) as writer:
        rows = [row(0), row(1, output="\ud800"), row(2)]
        first, bad, last = [writer.put([r], 1) for r in rows]
        assert first.result(SOON) is last.result(SOON) is None
        with pytest.raises(StoreError, match="not logged"):
            bad.result(SOON)
    assert stored(store) == ["r0", "r2"]


def test_async_answers_at_once_up_to_its_bound(store: Store, tmp_path: Path) -> None:
    patient = Store(store.url, busy=2)
    with writing(patient, tmp_path, LogPromise("async", async_rows=2)) as writer, locked(store):
        early = [writer.put([row(i)], 1) for i in range(3)]
        assert [e.done() for e in early[:2]] == [True, True]
        assert early[2].result(SOON) is None  # once it is on disk
        assert writer.flush(SOON)
        assert writer.state().spooled_rows == 3
    patient.close()


def test_what_async_gave_early_is_kept_until_there_is_room(store: Store, tmp_path: Path) -> None:
    with writing(store, tmp_path, LogPromise("async", spool_bytes=1)) as writer:
        with locked(store):
            assert writer.put([row(0)], 1).done()
            until(lambda: writer.state().fault == "the spool is full")
            with pytest.raises(StoreError, match="the spool is full"):
                writer.put([row(1)], 1).result(SOON)
        assert writer.flush(SOON)
    assert stored(store) == ["r0"]


def test_a_closed_log_and_too_much_waiting_are_store_errors(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.writer.MOST_WAITING", 1)
    with writing(store, tmp_path) as writer, pytest.raises(StoreError, match="too much waits"):
        writer.put([row(0), row(1)], 2).result(SOON)
    with pytest.raises(StoreError, match="the log is closed"):
        writer.put([row(0)], 1).result(SOON)


def test_its_numbers_are_metrics(store: Store, tmp_path: Path) -> None:
    metrics = Metrics()
    writer = Writer(store, lambda rows: Kept(rows, len(rows)), tmp_path, metrics)
    writer.put([row(0)], 1).result(SOON)
    writer.close()
    page = metrics.page().decode()
    assert "everloop_log_rows_total 1.0" in page
    assert "everloop_log_waiting_rows 0.0" in page
    assert "everloop_log_spooled_rows 0.0" in page
