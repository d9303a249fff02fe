"""The log's writer is killed, its store is stopped, its disk is full: what was acknowledged is there."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import StoreError
from core.store import Store
from core.store.spool import Spool
from serving.writer import RETRY_SECONDS, Writer
from tests.core.store.test_postgres import binary, call
from tests.core.store.test_postgres import server as server
from tests.core.store.test_postgres import url as url
from tests.logs import row, stored, until, writing
from tests.serving.test_writer import SOON, locked

UNDER_LOAD = """
import sys
from pathlib import Path
from core.store import Store
from serving.writer import Writer
from tests.logs import row, writing

with writing(Store(sys.argv[1], busy=0.1), Path(sys.argv[2])) as writer:
    for start in range(int(sys.argv[3]), 10**9, 30):
        puts = {i: writer.put([row(i), row(i, "shadow")], 1) for i in range(start, start + 30)}
        for i, safe in puts.items():
            safe.result(60)
            print(f"r{i}", flush=True)
"""


def killed(url: str, folder: Path, acknowledged: int, start: int = 0) -> list[str]:
    """The requests that a writer acknowledged before it was killed, at least so many."""
    command = [sys.executable, "-c", UNDER_LOAD, url, str(folder), str(start)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout
        seen = [child.stdout.readline().strip() for _ in range(acknowledged)]
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
    return seen + rest[: rest.rfind("\n") + 1].split()


def check_all_there(store: Store, folder: Path, acknowledged: list[str]) -> None:
    """All of them, none twice, whether they waited on disk or not; counted once too."""
    with writing(store, folder):
        until(lambda: Spool(folder).waiting("") == (0, 0))
    found = stored(store)
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found)) == store.state.counters()["texts.serving"]
    assert store.state.counters()["encoder_passes.serving"] == len(found)


@pytest.mark.slow
def test_killed_under_load_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    for turn in range(1, 4):
        check_all_there(store, tmp_path, killed(store.url, tmp_path, 100 * turn, turn * 100_000))
    store.close()


@pytest.mark.slow
def test_killed_while_the_store_is_locked_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    with locked(store):
        acknowledged = killed(store.url, tmp_path, 100)
        assert stored(store) == []
    check_all_there(store, tmp_path, acknowledged)
    store.close()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = Path(tempfile.mkdtemp(prefix="everloop-disk-"))
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    ) if shutil.which("mount") else None  # fmt: skip
    if made is None or made.returncode:
        folder.rmdir()
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def put_until_refused(writer: Writer, acknowledged: list[str]) -> None:
    """What the files had reserved takes some rows yet."""
    for i in range(1, 1000):
        writer.put([row(i)], 1).result(SOON)
        acknowledged.append(f"r{i}")


def test_a_full_disk_is_said_loses_nothing_and_is_recovered_from(small_disk: Path) -> None:
    store = Store(f"sqlite:///{small_disk}/store.db", busy=0.1)
    with writing(store, small_disk / "spool") as writer:
        writer.put([row(0)], 1).result(SOON)
        ballast = small_disk / "ballast"
        fill(ballast)
        acknowledged = ["r0"]
        with pytest.raises(StoreError, match="the disk is full"):
            put_until_refused(writer, acknowledged)
        assert writer.state().fault.startswith("the disk is full")
        time.sleep(3 * RETRY_SECONDS)  # what stores nothing is no proof that there is room
        assert not writer.able()
        ballast.unlink()
        until(lambda: writer.state().fault == "")
        assert writer.able()
        writer.put([row(2000)], 1).result(SOON)
    assert set(acknowledged) | {"r2000"} == set(stored(store))
    store.close()


def test_a_disk_that_is_full_before_anybody_asks_is_noticed(small_disk: Path) -> None:
    store = Store(f"sqlite:///{small_disk}/store.db", busy=0.1)
    with writing(store, small_disk / "spool") as writer:
        assert (writer.able(), writer.faults()) == (True, ())
        fill(small_disk / "ballast")
        assert (writer.able(), writer.faults()) == (False, ("the disk is full",))
        (small_disk / "ballast").unlink()
        assert (writer.able(), writer.faults()) == (True, ())
    store.close()


def test_a_spool_that_cannot_be_written_is_no_place_for_answers(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db", busy=0.1)
    (tmp_path / "spool").write_text("a file where the folder would be")
    with writing(store, tmp_path / "spool") as writer:
        assert writer.able()
        with locked(store):
            with pytest.raises(StoreError, match="the spool cannot be written"):
                writer.put([row(0)], 1).result(SOON)
            assert not writer.able()
        (tmp_path / "spool").unlink()
        until(writer.able)
        writer.put([row(1)], 1).result(SOON)
    store.close()


@pytest.mark.postgres
def test_killed_under_load_on_postgres(url: str, tmp_path: Path) -> None:
    store = Store(url)
    for turn in range(1, 3):
        check_all_there(store, tmp_path, killed(url, tmp_path, 100 * turn, turn * 100_000))
    store.close()


@pytest.mark.postgres
def test_a_row_that_postgres_cannot_hold_fails_alone(url: str, tmp_path: Path) -> None:
    store = Store(url, busy=1)
    with writing(store, tmp_path) as writer:
        puts = [writer.put([row(i, output="a\x00" if i == 1 else "a")], 1) for i in range(3)]
        with pytest.raises(StoreError, match="NUL"):
            puts[1].result(SOON)
        assert puts[0].result(SOON) is puts[2].result(SOON) is None
    assert stored(store) == ["r0", "r2"]
    store.close()


@pytest.mark.postgres
def test_a_stopped_postgres_is_waited_for_on_disk(url: str, server: str, tmp_path: Path) -> None:
    folder = server.rpartition("host=")[2]
    pg_ctl, data, log = binary("pg_ctl"), f"{folder}/data", f"{folder}/log"
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    store = Store(url, busy=1)
    with writing(store, tmp_path) as writer:
        writer.put([row(0)], 1).result(SOON)
        call(pg_ctl, "-D", data, "-w", "-m", "fast", "stop")
        try:
            for i in range(1, 10):
                writer.put([row(i)], 1).result(SOON)
            assert writer.state().fault == "the store cannot be reached: 9 rows wait on disk"
        finally:
            call(pg_ctl, "-D", data, "-l", log, "-w", "-o", options, "start")
        until(lambda: not writer.owes())
    assert stored(store) == [f"r{i}" for i in range(10)]
    assert store.state.counters() == {"encoder_passes.serving": 10, "texts.serving": 10}
    store.close()
