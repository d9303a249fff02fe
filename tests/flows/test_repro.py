"""A dataset version and the numbers of its model can be made again, as a person would type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from everloop.replay import run
from flows.session import Session, open_session
from tests.command_line import typed, with_everloop
from tests.small_loop import job, make_session

pytestmark = pytest.mark.slow
VERSION = "v0003"


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Session:
    session = make_session(tmp_path_factory.mktemp("repro") / "workspace")
    run(session, job())
    return session


@pytest.fixture
def path(tmp_path: Path) -> str:
    return with_everloop(tmp_path / "bin")


def numbers(folder: Path) -> dict[str, Any]:
    read = [json.loads((folder / "metrics" / f"{n}.json").read_text()) for n in ("training", "testing")]
    return {**read[0], **read[1]}


def logged(session: Session) -> dict[str, Any]:
    """What MLflow has of the version's run."""
    (candidate,) = (c for c in session.registry.versions() if c.dataset == VERSION)
    return candidate.metrics


def test_a_version_checked_out_and_run_again_gives_its_numbers(replayed: Session, path: str) -> None:
    root = replayed.workspace.root
    newest = numbers(root)
    said = typed(f"git checkout dataset/{VERSION} && dvc repro", root, path)
    assert "Running stage 'training'" in said
    assert "Running stage 'testing'" in said
    assert numbers(root) == logged(replayed) != newest
    typed("git checkout -f main", root, path)
    tracked = "dvc status data/blocks/*.dvc data/champion.dvc datasets"
    assert typed(tracked, root, path).strip() == "Data and pipelines are up to date."
    assert typed("git status --porcelain -uno", root, path) == ""


def test_the_whole_chain_run_again_gives_the_same_bytes(replayed: Session, path: str) -> None:
    root = replayed.workspace.root
    locks = []
    for _ in range(2):
        typed(f"git checkout -f dataset/{VERSION} && dvc repro --force", root, path)
        assert numbers(root) == logged(replayed)
        locks.append((root / "dvc.lock").read_text())
    assert locks[0] == locks[1]
    typed("git checkout -f main", root, path)


def test_a_clone_gives_the_same_numbers(replayed: Session, path: str, tmp_path: Path) -> None:
    root = replayed.workspace.root
    typed(f"git clone --quiet {root} clone", tmp_path, path)
    clone = tmp_path / "clone"
    remote = f"dvc remote modify --local local url {root}/.everloop/remote"
    pull = "dvc pull data/blocks/*.dvc data/champion.dvc datasets"
    typed(f"{remote} && git checkout dataset/{VERSION} && {pull} && dvc repro", clone, path)
    assert numbers(clone) == logged(replayed)
    assert open_session(clone).registry.versions() == []
