"""examples/own-policy, as a stranger uses it: installed, checked, under our laws, in a replay, in dvc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from everloop.replay import run
from flows.session import open_session
from pipelines.datasets.partitions import read
from tests import ROOT
from tests.command_line import everloop, typed, with_everloop
from tests.small_loop import job, make_session

pytestmark = pytest.mark.slow
POLICIES = [
    "own_policy.questions:Questions",
    "own_policy.sundays:Sundays",
    "own_policy.newest_of_each:NewestOfEach",
]
SECTIONS = {
    "curation": {"policy": "questions", "labels_per_day": 12, "audit_share": 0.25, "times": 9},
    "triggers": {
        "policy": "any",
        "of": [{"policy": "own_policy.sundays:Sundays"}, {"policy": "labels", "at_least": 8}],
    },
    "datasets": {"policy": "newest-of-each", "rows": 30},
}


def call(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where pip has put the package: a folder that is on Python's path for a while."""
    made = tmp_path_factory.mktemp("own")
    shutil.copytree(ROOT / "examples" / "own-policy", made / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    call(*pip, *offline, "--target", str(made / "site"), str(made / "source"), folder=made)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(made / "site"), str(ROOT), before]))
    sys.path.insert(0, str(made / "site"))
    yield made / "site"
    sys.path.remove(str(made / "site"))
    os.environ["PYTHONPATH"] = before


def test_it_passes_our_laws(installed: Path, tmp_path: Path) -> None:
    named = [x for path in POLICIES for x in ("--policy", path)]
    laws = ["-p", "no:cacheprovider", "--pyargs", "everloop.laws", *named]
    said = call(sys.executable, "-m", "pytest", "-v", *laws, folder=tmp_path)
    for file in ("test_curation", "test_triggers", "test_datasets", "test_settings"):
        assert f"{file}.py" in said
    assert "test_rollout.py" not in said
    assert "[questions" not in said
    assert "[own_policy.questions:Questions" in said


def test_it_runs_in_a_replay_and_in_dvc(installed: Path, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    path = make_session(root).workspace.params
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | SECTIONS))
    said = everloop("check", "--trust", "-w", root)
    assert (said.code, said.err) == (0, "")
    assert "  times: 9.0  # how much more a question is worth\n" in said.out
    assert "# it names code: triggers.of.0.policy: own_policy.sundays:Sundays\n" in said.out
    session = open_session(root)
    assert run(session, job())["retrains"] >= 1
    rows = read(session.workspace.reservoir, sets=["train"])
    assert "questions" in set(rows["policy"])
    again = typed("dvc repro --force", root, with_everloop(tmp_path / "bin"))
    assert "Running stage 'datasets'" in again
    assert not session.store.decisions.read("triggers")[0].reason.startswith("waiting")
