"""Dataset versions: real git, real DVC, and a process that may die at any line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from core.errors import DatasetError
from core.texts import normal
from core.workspace import Workspace
from pipelines.datasets.contents import EVALUATION, rows_here, rows_of, show
from pipelines.datasets.diff import diff
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.form import form_dataset, latest
from pipelines.datasets.history import list_versions, version
from pipelines.datasets.inputs import read_inputs
from pipelines.datasets.objects import Objects
from pipelines.datasets.partitions import read
from pipelines.datasets.versions import checkout, make_version
from pipelines.datasets.window import WindowFormation
from tests import ROOT
from tests.pipelines.datasets.small_versions import (
    ALL,
    START,
    champion,
    plan,
    rows,
    second,
    second_version,
)


def state(workspace: Workspace) -> dict[str, Any]:
    """All that must be the same however often a version was begun."""
    folder = workspace.root / "data"
    remote = (workspace.state / "remote").rglob("*")
    tracked = Repository(workspace.root).git("status", "--porcelain").splitlines()
    return {
        "versions": [replace(v, commit="") for v in list_versions(workspace.root)],
        "files": {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()},
        "remote": sorted(p.name for p in remote if p.is_file() and p.suffix != ".tmp"),
        "uncommitted": tracked,
        "commits": Repository(workspace.root).git("rev-list", "--count", "HEAD"),
    }


# -- what a version is --------------------------------------------------------------------------


def test_a_version_says_what_it_is(two: Workspace) -> None:
    found = version(two.root, "v0002")
    assert found.rows == {"train": 4, "eval": 1, "audit": 1}
    assert (found.labels, found.parent, found.policy, found.seed) == (4, "v0001", "all", 2)
    assert found.as_of == START + timedelta(days=2)
    assert found.revision.endswith(".dir")
    assert len(found.revision) == 36
    assert [v.id for v in list_versions(two.root)] == ["v0001", "v0002"]
    assert list_versions(two.root)[1] == found


def test_a_version_is_one_clean_commit_at_the_remote(two: Workspace) -> None:
    repository = Repository(two.root)
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("rev-parse", "HEAD").strip() == version(two.root, "v0002").commit
    stored = {p.name for p in (two.root / ".dvc/cache/files/md5").rglob("*") if p.is_file()}
    assert {p.name for p in (two.state / "remote/files/md5").rglob("*") if p.is_file()} == stored


def test_making_a_version_again_changes_nothing(two: Workspace) -> None:
    before = state(two)
    assert second_version(two) == version(two.root, "v0002")
    assert state(two) == before


def test_the_stage_gives_the_same_bytes_again(two: Workspace) -> None:
    before = {p.name: p.read_bytes() for p in two.dataset.iterdir()}
    shutil.rmtree(two.dataset)
    shutil.rmtree(two.metrics)
    form_dataset(two, ALL)
    assert {p.name: p.read_bytes() for p in two.dataset.iterdir()} == before
    assert Repository(two.root).git("status", "--porcelain") == ""


def test_no_held_out_text_trains(two: Workspace) -> None:
    train, held_out = rows_here(two), rows_here(two, EVALUATION)
    assert train["input"].tolist() == ["top up", "my card", "lost card", "fee?"]
    assert held_out[["input", "set"]].values.tolist() == [
        ["where is it?", "eval"],
        ["an audit text", "audit"],
    ]
    assert not set(train["input"].map(normal)) & set(held_out["input"].map(normal))
    assert '"fenced": 2' in (two.metrics / "datasets.json").read_text()


@pytest.mark.parametrize("width", [4, 36, None])
def test_of_rows_with_one_id_the_last_is_the_one(width: int | None) -> None:
    """Ids that are all as long, some twice or thrice; and ids of any length."""
    rng = np.random.default_rng(0)
    ids = pd.Series([f"{x:0{width or 1}d}" for x in rng.integers(0, 900, 1000)])
    column = pa.chunked_array([pa.array(ids[:300], pa.string()), pa.array(ids[300:], pa.string())])
    assert latest(column).tolist() == (~ids.duplicated(keep="last")).tolist()
    assert latest(column.slice(500)).tolist() == (~ids[500:].duplicated(keep="last")).tolist()
    assert latest(column.slice(0, 0)).tolist() == []


def test_rows_after_as_of_stay_out(one: Workspace) -> None:
    late = rows(["too late"], day=30)
    made = make_version(one, late, plan(2), ALL, None)
    assert made.rows == version(one.root, "v0001").rows
    assert "too late" in read(one.reservoir)["input"].tolist()


def test_what_a_version_took_is_in_the_next_whatever_its_clock_said(one: Workspace) -> None:
    make_version(one, rows(["too late"], day=30), plan(2), ALL, None)
    made = make_version(one, None, plan(3), ALL, None)
    assert made.rows["train"] == version(one.root, "v0001").rows["train"] + 1


def test_a_version_without_new_rows_has_no_partition(one: Workspace) -> None:
    made = make_version(one, None, plan(2), ALL, None)
    assert read_inputs(one).partitions == ("v0001",)
    assert made.revision == version(one.root, "v0001").revision


def test_other_changes_of_the_user_stay_uncommitted(one: Workspace) -> None:
    (one.root / "notes.txt").write_text("mine")
    Repository(one.root).git("add", "notes.txt")
    second_version(one)
    assert Repository(one.root).git("status", "--porcelain") == "A  notes.txt\n"


# -- reading, comparing, checking out -----------------------------------------------------------


def test_two_versions_differ_by_their_rows(two: Workspace) -> None:
    before = state(two)
    found = diff(two.root, "v0001", "v0002")
    assert sorted(found.added["input"]) == ["an audit text", "fee?"]
    assert found.removed.empty
    assert found.relabelled[["input", "target_before", "target"]].values.tolist() == [
        ["lost card", "card", "lost_card"]
    ]
    assert found.to_text() == (
        "v0001 -> v0002\n"
        "  added train   1\n"
        "  added eval    1\n"
        "  removed train 0\n"
        "  removed eval  0\n"
        "  relabelled    1\n"
        "  share of label in training (4 changed)\n"
        "    card                              66.67% ->  25.00%\n"
        "    fee                                0.00% ->  25.00%\n"
        "    lost_card                          0.00% ->  25.00%\n"
        "    top_up                            33.33% ->  25.00%"
    )
    assert state(two) == before


def test_a_version_shows_its_rows_by_label(two: Workspace) -> None:
    shown = show(two.root, "v0002")
    assert shown.counts.loc["card"].to_dict() == {"train": 1, "eval": 1, "audit": 1}
    assert "parent    v0001" in shown.to_text()
    assert "  card              1       1       1" in shown.to_text()


def test_checkout_brings_the_data_and_back(two: Workspace) -> None:
    before = state(two)
    assert checkout(two.root, "v0001").id == "v0001"
    assert [p.name for p in two.reservoir.glob("*/*")] == ["v0001.parquet"]
    assert not list(two.champion.iterdir())
    assert read_inputs(two).id == "v0001"
    checkout(two.root, "v0002")
    assert state(two) == before


def test_checkout_fetches_what_only_the_remote_has(two: Workspace) -> None:
    shutil.rmtree(two.root / ".dvc" / "cache")
    shutil.rmtree(two.root / "data" / "reservoir")
    shutil.rmtree(two.dataset)
    shutil.rmtree(two.champion)
    checkout(two.root, "v0001")
    assert len(read(two.reservoir)) == 5
    assert len(rows_of(two.root, "v0002")) == 6


def test_data_that_is_nowhere_is_an_error(two: Workspace) -> None:
    shutil.rmtree(two.root / ".dvc" / "cache")
    shutil.rmtree(two.state / "remote")
    with pytest.raises(
        DatasetError, match=r"(?s)neither in the DVC cache nor at the remote.*no object \w+"
    ):
        rows_of(two.root, "v0001")
    shutil.rmtree(two.dataset)
    with pytest.raises(DatasetError, match="in no version"):
        checkout(two.root, "v0001")


def test_checkout_refuses_to_lose_anything(two: Workspace) -> None:
    (two.champion / "precious").write_text("only here")
    with pytest.raises(DatasetError, match=r"(?s)in no version.*data/champion/precious"):
        checkout(two.root, "v0001")
    assert (two.champion / "precious").exists()
    (two.champion / "precious").unlink()
    two.version_file.write_text("{}")
    with pytest.raises(DatasetError, match=r"(?s)in no version.*data/version\.json"):
        checkout(two.root, "v0001")


def test_a_version_is_not_made_on_another_versions_data(two: Workspace) -> None:
    checkout(two.root, "v0001")
    with pytest.raises(DatasetError, match=r"(?s)no partition v0002.*everloop data checkout v0002"):
        make_version(two, rows(["new"]), plan(3), ALL, None)


def test_an_unknown_version_is_named_with_its_neighbour(two: Workspace) -> None:
    with pytest.raises(DatasetError) as fault:
        show(two.root, "v0012")
    assert str(fault.value) == (
        "there is no dataset version v0012\n"
        f"  where:    {two.root}\n"
        "  expected: v0002, or one of v0001 .. v0002\n"
        "  do:       everloop data list"
    )


def test_where_there_is_one_version_that_one_is_named(one: Workspace) -> None:
    with pytest.raises(DatasetError, match=r"expected: v0001\n"):
        show(one.root, "v0012")


# -- refusals -----------------------------------------------------------------------------------


def test_a_detached_head_is_refused(two: Workspace) -> None:
    Repository(two.root).git("checkout", "--quiet", "--detach")
    with pytest.raises(DatasetError, match=r"(?s)made on a branch.*git checkout main"):
        make_version(two, rows(["new"], day=2), plan(3), ALL, None)


def test_another_policy_than_the_files_is_refused(one: Workspace) -> None:
    with pytest.raises(DatasetError, match=r"(?s)not the one in params\.yaml.*days=3.*All"):
        make_version(one, None, plan(2), WindowFormation(policy="window", days=3), None)


def test_a_strange_champion_stops_the_stage(two: Workspace) -> None:
    champion(two.champion, "another")
    with pytest.raises(DatasetError, match=r"(?s)not the one of version v0002.*dvc checkout"):
        form_dataset(two, ALL)


def test_nothing_to_train_on_is_an_error(one: Workspace) -> None:
    one.params.write_text("datasets:\n  policy: window\n  days: 1\n")
    with pytest.raises(DatasetError, match=r"(?s)v0005 would have nothing to train on.*wider"):
        make_version(
            one, None, replace(plan(5), parent="v0001"), WindowFormation(policy="window", days=1), None
        )


def test_a_foreign_git_lock_is_explained(one: Workspace) -> None:
    (one.root / ".git" / "index.lock").touch()
    with pytest.raises(DatasetError, match=r"(?s)git add refuses.*index\.lock.*rm "):
        second_version(one)


def test_a_remote_that_does_not_take_the_data_leaves_no_version(one: Workspace) -> None:
    remote = one.state / "remote"
    shutil.rmtree(remote)
    remote.write_text("not a folder")
    with pytest.raises(DatasetError, match=r"(?s)the remote local refuses.*Not a directory"):
        second_version(one)
    assert [v.id for v in list_versions(one.root)] == ["v0001"]
    remote.unlink()
    assert second_version(one).id == "v0002"


# -- killed and run again -----------------------------------------------------------------------


class KilledError(BaseException):
    """Stands for kill -9: nothing may catch it."""


def die_after(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The (n + 1)th step that touches the disk is the last."""
    left = [n]

    def mortal(step: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KilledError
            return step(*args, **kwargs)

        return wrapped

    monkeypatch.setattr(os, "replace", mortal(os.replace))
    monkeypatch.setattr(shutil, "rmtree", mortal(shutil.rmtree))
    for kind, name in ((Repository, "git"), (Repository, "track"), (Objects, "_move")):
        monkeypatch.setattr(kind, name, mortal(getattr(kind, name)))


def killed_then_again(workspace: Workspace, n: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    with monkeypatch.context() as patch:
        die_after(n, patch)
        try:
            second_version(workspace)
        except KilledError:
            died = True
        else:
            died = False
    second_version(workspace)
    return died


@pytest.mark.parametrize("n", [5, 12, 15])
def test_a_killed_version_ends_the_same(
    one: Workspace, two: Workspace, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert killed_then_again(one, n, monkeypatch)
    assert state(one) == state(two)


@pytest.mark.slow
def test_a_version_killed_anywhere_ends_the_same(
    versions: Path, two: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = state(two)
    for n in range(100):
        copy = Workspace(shutil.copytree(versions / "one", tmp_path / str(n), symlinks=True))
        died = killed_then_again(copy, n, monkeypatch)
        assert state(copy) == expected, f"killed at step {n}"
        if not died:
            break
    assert n > 15


def test_the_rows_of_an_unfinished_version_may_grow(
    one: Workspace, two: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late annotation may be claimed between the two runs."""
    model = champion(one.state / "model", "one")
    with monkeypatch.context() as patch:
        die_after(10, patch)
        with pytest.raises(KilledError):
            make_version(one, second().iloc[:1], plan(2), ALL, model)
    second_version(one)
    assert state(one) == state(two)


def test_locks_of_a_killed_run_are_cleared(one: Workspace, two: Workspace) -> None:
    (one.state / "versions.lock").write_text("4711")  # its holder never wrote that it was done
    (one.root / ".dvc/tmp/rwlock").write_text('{"read": {')
    for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock"):
        (one.root / ".git" / name).touch()
    second_version(one)
    assert state(one) == state(two)


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.pipelines.datasets.small_versions import Workspace, second_version
print("go", flush=True)
second_version(Workspace(Path({root!r})))
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.8])
def test_kill_minus_nine(one: Workspace, two: Workspace, delay: float) -> None:
    code = KILLED.format(tests=str(ROOT), root=str(one.root))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
    second_version(one)
    assert state(one) == state(two)
