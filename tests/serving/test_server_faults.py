"""A real `everloop serve`, killed, locked out of its store, on a full disk: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.store import Store
from flows.first import first_model
from tests.fake_models import NOW
from tests.logs import until
from tests.small_loop import job, make_session

pytestmark = pytest.mark.slow
CALLERS = 8


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained") / "shop"
    session, rows = make_session(root, serving={"feedback_per_minute": 100_000}), job(days=1)
    first_model(session, rows.train, rows.evaluation, NOW)
    session.store.close()
    return root


@contextlib.contextmanager
def served(root: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A server that is ready, and a client of it."""
    command = [sys.executable, "-m", "everloop", "serve", "-w", str(root), "--port", "0"]
    command += ["--log-level", "error"]
    with (
        Path(f"{root}.stderr").open("a") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout
            url = process.stdout.readline().split()[2].rstrip(",")
            with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
                until(lambda: client.get("/ready").status_code == 200)
                yield process, client
        finally:
            process.kill()


def ask(client: httpx.Client, text: str) -> dict[str, Any]:
    answer = client.post("/v1/predict", json={"text": text})
    assert answer.status_code == 200, answer.text
    [prediction] = answer.json()["predictions"]
    return dict(prediction)


def under_load(client: httpx.Client, acknowledged: list[str], given: list[str]) -> None:
    """Predictions, and a feedback on each, until the server is gone."""
    with contextlib.suppress(httpx.HTTPError):
        for i in itertools.count():
            found = ask(client, f"text {i} of {threading.get_ident()}")
            acknowledged.append(found["prediction_id"])
            body = {"prediction_id": found["prediction_id"], "kind": "thumbs", "value": "down"}
            if client.post("/v1/feedback", json=body).status_code == 200:
                given.append(found["prediction_id"])


def stored(root: Path) -> tuple[list[str], list[str]]:
    """The ids of answers and of feedback in the store."""
    with contextlib.closing(sqlite3.connect(root / ".everloop" / "store.db")) as db:
        answers = [r[0] for r in db.execute("SELECT prediction_id FROM predictions")]
        return answers, [r[0] for r in db.execute("SELECT prediction_id FROM feedback")]


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(trained: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trained, tmp_path / "shop", symlinks=True))
    acknowledged: list[str] = []
    given: list[str] = []
    for round_ in range(1, 4):
        with served(root) as (process, client):
            callers = [
                threading.Thread(target=under_load, args=(client, acknowledged, given))
                for _ in range(CALLERS)
            ]
            for caller in callers:
                caller.start()
            until(lambda most=150 * round_: len(given) > most)
            process.send_signal(signal.SIGKILL)
            for caller in callers:
                caller.join()
    answers, feedback = stored(root)
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= set(answers)
    assert len(set(answers)) == len(answers)
    assert set(given) <= set(feedback)
    assert len(set(feedback)) == len(feedback)


def test_a_store_locked_for_30_seconds_stops_no_prediction(trained: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(trained, tmp_path / "shop", symlinks=True))
    with served(root) as (_, client):
        before = ask(client, "before")["prediction_id"]
        feedback = {"prediction_id": before, "kind": "thumbs", "value": "up"}
        with contextlib.closing(
            sqlite3.connect(root / ".everloop" / "store.db", isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            end, found = time.monotonic() + 30, []
            while time.monotonic() < end:
                found.append(ask(client, f"text {len(found)}")["prediction_id"])
            refused = client.post("/v1/feedback", json=feedback)
            assert (refused.status_code, refused.json()["error"]) == (
                503,
                "the store is locked by another process",
            )
            ready = client.get("/ready")
            assert ready.status_code == 200
            assert "rows wait on disk" in str(ready.json()["faults"])
            other.execute("ROLLBACK")
        until(lambda: client.get("/ready").json()["faults"] == [])
        assert client.post("/v1/feedback", json=feedback).status_code == 200
        late = feedback | {"prediction_id": found[-1]}
        until(lambda: client.post("/v1/feedback", json=late).is_success)
    answers, feedback_ids = stored(root)
    assert len(found) > 100
    assert sorted(answers) == sorted([before, *found])
    assert sorted(feedback_ids) == sorted([before, found[-1]])


def test_a_server_killed_while_its_store_was_locked_left_its_answers_on_disk(
    trained: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(trained, tmp_path / "shop", symlinks=True))
    with (
        contextlib.closing(
            sqlite3.connect(root / ".everloop" / "store.db", isolation_level=None)
        ) as other,
        served(root) as (process, client),
    ):
        other.execute("BEGIN IMMEDIATE")
        found = [ask(client, f"text {i}")["prediction_id"] for i in range(20)]
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with served(root) as (_, client):
        until(lambda: len(stored(root)[0]) == 20)
        body = {"prediction_id": found[0], "kind": "thumbs", "value": "up"}
        assert client.post("/v1/feedback", json=body).status_code == 200
    assert sorted(stored(root)[0]) == sorted(found)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="everloop-disk-"))
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        folder.rmdir()
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


def test_a_full_disk_is_said_and_recovered_from(trained: Path, small_disk: Path) -> None:
    root = Path(shutil.copytree(trained, small_disk / "shop", symlinks=True))
    acknowledged: list[str] = []
    ballast = small_disk / "ballast"
    with served(root) as (_, client):
        acknowledged.append(ask(client, "before")["prediction_id"])
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        answer = httpx.Response(200)
        for i in range(2000):  # what the files had reserved takes some rows yet
            answer = client.post("/v1/predict", json={"text": f"text {i}"})
            if answer.status_code != 200:
                break
            acknowledged.append(answer.json()["predictions"][0]["prediction_id"])
        assert answer.status_code == 503
        assert "disk" in answer.text
        ready = client.get("/ready")
        assert (ready.status_code, "full" in ready.text) == (503, True)
        assert not any(str(root) in told.text for told in (answer, ready))
        ballast.unlink()
        until(lambda: client.post("/v1/predict", json={"text": "after"}).status_code == 200)
        until(lambda: client.get("/ready").json().get("faults") == [])
    answers, _ = stored(root)
    assert set(acknowledged) <= set(answers)
    store = Store(f"sqlite:///{root}/.everloop/store.db")
    assert store.state.counters()["texts.serving"] == len(answers)
    store.close()
    with contextlib.closing(sqlite3.connect(root / ".everloop" / "store.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
