"""kill -9 at 25 random moments of each command: run again, it leaves what a calm run leaves.

python -m pytest -m slow tests/flows/test_kill_anywhere.py
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.records.labels import AnnotationTask
from core.state import Champion
from everloop.replay import run as replay
from everloop.sample import bundled
from flows.session import open_session
from pipelines.datasets.dvc_git import Repository
from tests.core.store.test_queue import NOW
from tests.core.store.test_store import prediction
from tests.flows.killing import Kills, kill_anywhere, rows
from tests.flows.test_loop import NOT_COMPARED
from tests.small_loop import job, make_session

pytestmark = pytest.mark.slow
# of a run: how long it took, and names that MLflow draws
DRAWN = re.compile(r'"(seconds|run_id)": *("[^"]*"|[0-9.e-]+)|[0-9a-f]{32}(?!\.dir)')


def left(root: Path) -> dict[str, Any]:
    """What a command leaves: store, versions, models, champion."""
    session = open_session(root)
    repository = Repository(root)
    tables = rows(root, without=("latency_ms", "run_id"))
    runs = session.registry._client.search_runs([session.registry._experiment])
    found = {
        "store": {name: [DRAWN.sub("", r) for r in table] for name, table in tables.items()},
        "versions": {
            tag: repository.git("rev-parse", f"{c}^{{tree}}") for tag, c in repository.tags().items()
        },
        "dirty": repository.git("status", "--porcelain"),
        "models": [(c.version, c.dataset, c.metrics) for c in session.registry.versions()],
        "runs": sorted((r.info.run_name, r.info.status) for r in runs),
        "champion": (session.store.state.read(Champion).version, session.registry.version("champion")),
        "half": sorted(
            p.name for p in root.rglob("*") if p.name.endswith((".half", ".part", ".parts"))
        ),
    }
    session.store.close()
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without a model."""
    session = make_session(tmp_path_factory.mktemp("kill") / "base")
    session.store.close()
    return session.workspace.root


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """First rows, evaluation rows, and two days of requests."""
    folder = tmp_path_factory.mktemp("tables")
    stream = pd.read_csv(bundled() / "stream.csv", dtype=str)
    kept = {
        "stream": stream[stream["request_id"].isin(job(days=2, each_day=25).stream["request_id"])],
        "train": pd.read_csv(bundled() / "train.csv", dtype=str).head(60),
        "eval": pd.read_csv(bundled() / "eval.csv", dtype=str).head(30),
    }
    for name, frame in kept.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return {name: folder / f"{name}.csv" for name in kept}


def copies(of: Path, to: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(of, to / name, symlinks=True))


def told(what: str, seen: Kills) -> None:
    """With -s: what the note quotes."""
    sys.stdout.write(
        f"{what}: {len(seen.landed)} kills landed after {min(seen.landed):.2f} to "
        f"{max(seen.landed):.2f} s of work (a calm run: {seen.calm:.2f} s), {seen.wrote} of them after "
        f"something was written; {seen.ended} workspaces, all as the calm one\n"
    )


def test_train(base: Path, tables: dict[str, Path], tmp_path: Path) -> None:
    def command(root: Path) -> list[object]:
        inputs = (tables["train"], "--eval", tables["eval"])
        return ["train", *inputs, "-w", root, "--now", "2026-01-05"]

    told("train", kill_anywhere(copies(base, tmp_path), command, left))


def test_replay(base: Path, tables: dict[str, Path], tmp_path: Path) -> None:
    def command(root: Path) -> list[object]:
        inputs = (tables["stream"], "--initial", tables["train"], "--eval", tables["eval"])
        return ["replay", *inputs, "-w", root, "--json", root.with_suffix(".json")]

    def all_left(root: Path) -> dict[str, Any]:
        result = json.loads(root.with_suffix(".json").read_text())
        told = {k: v for k, v in result.items() if k not in NOT_COMPARED}
        return {**left(root), "result": told}

    told("replay", kill_anywhere(copies(base, tmp_path), command, all_left, share=0.4))


def test_predict(base: Path, tables: dict[str, Path], tmp_path: Path) -> None:
    served = copies(base, tmp_path)("served")
    session = open_session(served)
    replay(session, job(days=1, each_day=5, frozen=True))
    session.store.close()
    texts = pd.read_csv(bundled() / "stream.csv", dtype=str)["text"]
    source = tmp_path / "in.csv"
    pd.DataFrame({"text": [f"{texts[i % len(texts)]} {i}" for i in range(4000)]}).to_csv(source)

    def command(root: Path) -> list[object]:
        return ["predict", source, root / "out.csv", "-w", root, "--now", "2026-01-06"]

    def all_left(root: Path) -> dict[str, Any]:
        return {**left(root), "out": (root / "out.csv").read_bytes()}

    told("predict", kill_anywhere(copies(served, tmp_path), command, all_left))


def test_label_import(base: Path, tmp_path: Path) -> None:
    asked = copies(base, tmp_path)("asked")
    session, many = open_session(asked), [prediction(i) for i in range(3000)]
    session.store.answers.log(many)
    ids = [p.prediction_id for p in many]
    session.store.queue.add([AnnotationTask(i, NOW, "r", "random", 0.5, False) for i in ids])
    session.store.close()
    votes = tmp_path / "votes.csv"
    lines = [f"{id},{'ab'[i % 2]},{who}" for who in ("ana", "bob") for i, id in enumerate(ids)]
    votes.write_text("\n".join(["prediction_id,label,annotator", *lines]))

    def command(root: Path) -> list[object]:
        return ["label", "import", votes, "-w", root, "--new-labels", "--now", "2026-01-08"]

    told("label import", kill_anywhere(copies(asked, tmp_path), command, left))
