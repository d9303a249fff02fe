"""kill -9 of a real process at real moments: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.state import Retrains
from everloop.replay import run
from everloop.sample import bundled
from flows.session import Session
from tests import ROOT
from tests.flows.test_loop import outcome
from tests.small_loop import job, make_session

pytestmark = pytest.mark.slow
Moment = Callable[[Session], bool]


def planned(session: Session) -> bool:
    """A retrain is under way."""
    return bool(session.store.state.read(Retrains).plan)


def version_half_made(session: Session) -> bool:
    """The rows of v0002 are written, its tag is not."""
    tag = session.workspace.root / ".git/refs/tags/dataset/v0002"
    return (session.workspace.reservoir / "v0001/v0002.parquet").exists() and not tag.exists()


def registering(models: int) -> Moment:
    """The files of so many models are, or are being, handed to MLflow."""
    return lambda session: len(list((session.workspace.artifacts / "models").glob("*"))) >= models


MOMENTS: dict[str, Moment] = {
    "MLflow makes its tables": lambda session: (session.workspace.state / ".mlflow.db.made").exists(),
    "the first model is half registered": registering(1),
    "the first requests are answered": lambda session: session.store.answers.count() > 0,
    "a retrain is planned": planned,
    "a dataset version is half made": version_half_made,
    "a rollout has begun": lambda session: session.store.decisions.live_rollout() is not None,
    "the third model is half registered": registering(3),
}


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "everloop", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def kill_at(process: subprocess.Popen[str], session: Session, moment: Moment) -> bool:
    """Whether it came to the moment; it is dead in any case."""
    while process.poll() is None and not moment(session):
        time.sleep(0.001)
    reached = process.poll() is None
    process.kill()
    process.communicate()
    return reached


def files(folder: Path) -> list[Path]:
    """The small loop's stream, first rows and evaluation rows, as files."""
    stream = pd.read_csv(bundled() / "stream.csv", dtype=str)
    kept = {
        "stream": stream[stream["request_id"].isin(job().stream["request_id"])],
        "train": pd.read_csv(bundled() / "train.csv", dtype=str).head(60),
        "eval": pd.read_csv(bundled() / "eval.csv", dtype=str).head(30),
    }
    for name, rows in kept.items():
        rows.to_csv(folder / f"{name}.csv", index=False)
    return [folder / f"{name}.csv" for name in kept]


def test_a_replay_killed_seven_times_ends_as_one_that_was_not(tmp_path: Path) -> None:
    stream, train, evaluation = files(tmp_path)

    def replay(session: Session) -> subprocess.Popen[str]:
        out = session.workspace.root.parent / "result.json"
        inputs = (stream, "--initial", train, "--eval", evaluation)
        return start("replay", *inputs, "-w", session.workspace.root, "--json", out)

    def left(session: Session) -> dict[str, Any]:
        result = json.loads((session.workspace.root.parent / "result.json").read_text())
        return outcome(session, result)

    calm = make_session(tmp_path / "calm" / "workspace")
    finish(replay(calm))
    killed = make_session(tmp_path / "killed" / "workspace")
    reached = {name: kill_at(replay(killed), killed, at) for name, at in MOMENTS.items()}
    assert reached == dict.fromkeys(MOMENTS, True)
    finish(replay(killed))
    assert left(killed) == left(calm)
    assert left(calm)["result"]["retrains"] == 3


def test_a_retrain_killed_and_run_again_is_one_retrain(tmp_path: Path) -> None:
    outcomes = []
    for name, moments in {"calm": [], "killed": [planned, version_half_made, registering(2)]}.items():
        session = make_session(
            tmp_path / name / "workspace", triggers={"policy": "labels", "at_least": 10**6}
        )
        result = run(session, job(days=1))
        again = (
            "retrain",
            "-w",
            session.workspace.root,
            "--now",
            "2026-01-06T01:00",
            "--reason",
            "why not",
        )
        for moment in moments:
            assert kill_at(start(*again), session, moment)
        finish(start(*again))
        outcomes.append(outcome(session, result))
        assert session.store.labels.unclaimed() == (0, 0)
        assert session.store.state.read(Retrains).done == 2
    assert outcomes[0] == outcomes[1]
    assert [v[0] for v in outcomes[0]["versions"]] == ["v0001", "v0002"]
    assert [m[0] for m in outcomes[0]["models"]] == ["1", "2"]
