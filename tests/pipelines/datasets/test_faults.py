"""Bad input: each is one clear error, nothing is lost, and there is no half-made tag."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.errors import DatasetError
from core.workspace import Workspace
from everloop.init import init
from pipelines.datasets.contents import rows_here, rows_of
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import list_versions
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import checkout, make_version
from tests import ROOT
from tests.pipelines.datasets.small_versions import ALL, plan, rows, second_version


@contextmanager
def no_version(workspace: Workspace, said: str) -> Iterator[None]:
    """The step is refused with these words, and the versions are as they were."""
    before = list_versions(workspace.root)
    with pytest.raises(DatasetError, match=said):
        yield
    assert list_versions(workspace.root) == before
    assert not any(c.faults for c in verify(workspace.root))


def third(workspace: Workspace) -> None:
    make_version(workspace, rows(["new"], day=2), plan(3), ALL, workspace.state / "model")


def test_a_truncated_partition(two: Workspace) -> None:
    path = two.reservoir / "v0001" / "v0002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with no_version(
        two, rf"(?s)a Parquet file is damaged.*{path}.*rm {path} && everloop data checkout"
    ):
        third(two)
    with pytest.raises(DatasetError, match="a Parquet file is damaged"):
        rows_here(two)
    path.unlink()
    checkout(two.root, "v0002")
    assert path.read_bytes() == whole
    third(two)
    assert len(rows_of(two.root, "v0003")) == 7


def test_a_partition_with_another_byte(two: Workspace) -> None:
    """One that can be read, so that nobody would notice: history would hold two of a name."""
    path = two.reservoir / "v0001" / "v0001.parquet"
    raw = path.read_bytes()
    other = rows(["my card", "other"])
    from pipelines.datasets.partitions import add_partition

    path.unlink()
    add_partition(two.reservoir, "v0001", other)
    with no_version(
        two,
        r"(?s)not as it was written.*v0001\.parquet.*what v0002 has.*rm data/reservoir.*data checkout v0002",
    ):
        third(two)
    path.unlink()
    checkout(two.root, "v0002")
    assert path.read_bytes() == raw
    third(two)


def test_a_missing_object(two: Workspace) -> None:
    for folder in (two.root / ".dvc/cache/files/md5", two.state / "remote/files/md5"):
        partition = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        partition.chmod(0o644)
        partition.unlink()
    name = partition.parent.name + partition.name
    with pytest.raises(DatasetError, match=rf"(?s)neither in the DVC cache nor at.*{name}.*dvc remote"):
        rows_of(two.root, "v0002")
    # the folder still has it, so the next version brings it back
    third(two)
    assert len(rows_of(two.root, "v0002")) == 6
    assert not any(c.faults for c in verify(two.root))


def test_a_dirty_tree_stays_as_it_was(two: Workspace) -> None:
    (two.root / "notes.txt").write_text("mine")
    (two.root / "dvc.yaml").write_text((two.root / "dvc.yaml").read_text() + "\n# mine\n")
    repository = Repository(two.root)
    repository.git("add", "notes.txt")
    third(two)
    assert repository.git("status", "--porcelain") == "A  notes.txt\n"
    assert repository.read("dataset/v0003", ["dvc.yaml"])[0].endswith("# mine\n")


def test_a_merge_that_is_not_done(two: Workspace) -> None:
    repository = Repository(two.root)
    identity = ["user.name=x", "user.email=x@localhost"]
    repository.git("checkout", "--quiet", "-b", "other")
    for branch, text in (("other", "a"), ("main", "b")):
        repository.git("checkout", "--quiet", branch)
        (two.root / "notes.txt").write_text(text)
        repository.commit(["notes.txt"], text)
    with pytest.raises(DatasetError, match="git merge refuses"):
        repository.git("merge", "other", settings=identity)
    with no_version(
        two, r"(?s)in the middle of something.*a merge that is not done.*--abort; then again"
    ):
        third(two)
    repository.git("merge", "--abort")
    third(two)


def test_a_detached_head(two: Workspace) -> None:
    Repository(two.root).git("checkout", "--quiet", "--detach")
    with no_version(two, r"(?s)made on a branch.*a detached HEAD.*git checkout main"):
        third(two)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_remote_that_is_read_only(two: Workspace) -> None:
    remote = two.state / "remote" / "files" / "md5"
    remote.chmod(0o555)
    with no_version(two, r"(?s)the remote local refuses.*ermission"):
        third(two)
    remote.chmod(0o755)
    third(two)


def test_a_disk_of_the_remote_that_is_full(two: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first object goes through, the second does not."""
    from dvc_objects.fs.local import LocalFileSystem

    left, real = [1], LocalFileSystem.put_file

    def full(self: LocalFileSystem, source: object, target: str, **options: object) -> object:
        left[0] -= "/remote/" in str(target)
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(self, source, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "put_file", full)
        with no_version(two, r"(?s)the remote local refuses.*No space left on device.*then again"):
            third(two)
    third(two)
    assert not any(c.faults for c in verify(two.root))


# -- two at once --------------------------------------------------------------------------------


def test_whoever_comes_second_waits(one: Workspace) -> None:
    began = threading.Event()

    def hold() -> None:
        with Repository(one.root).exclusive():
            began.set()
            time.sleep(0.4)

    holder = threading.Thread(target=hold)
    holder.start()
    began.wait()
    second_version(one)
    assert not holder.is_alive()
    holder.join()
    assert [v.id for v in list_versions(one.root)] == ["v0001", "v0002"]


def test_a_dvc_command_in_another_window_is_waited_for(one: Workspace) -> None:
    code = (
        "import sys, time; from dvc.repo import Repo\n"
        "with Repo(sys.argv[1]) as dvc, dvc.lock:\n    print('held', flush=True); time.sleep(1)"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(one.root)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        second_version(one)
        other.communicate()
    assert other.returncode == 0
    assert [v.id for v in list_versions(one.root)] == ["v0001", "v0002"]


def test_a_dvc_command_that_does_not_end_is_named(
    one: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.datasets.dvc_git.DVC_SECONDS", 0.2)
    code = (
        "import sys, time; from dvc.repo import Repo\n"
        "with Repo(sys.argv[1]) as dvc, dvc.lock:\n    print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(one.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        said = rf"(?s)another DVC command is at work.*process {other.pid}: .*import sys.*: kill {other.pid};"
        with no_version(one, said):
            second_version(one)
        other.kill()
        other.communicate()
    assert second_version(one).id == "v0002"


def test_git_that_doubts_who_owns_the_workspace_says_what_to_do(
    one: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a volume is mounted into a container."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    own = rf"(?s)dubious ownership.*do: .*: git config --global --add safe.directory {one.root}$"
    for step in (
        lambda: list_versions(one.root),
        lambda: Repository(one.root).check(),
        lambda: second_version(one),
        lambda: init(one.root),
    ):
        with pytest.raises(DatasetError, match=own):
            step()


def test_a_lock_that_another_git_left_is_named(one: Workspace) -> None:
    lock = one.root / ".git/index.lock"
    lock.touch()
    with pytest.raises(DatasetError, match=rf"(?s)File exists.*if there is none: rm {lock}$"):
        Repository(one.root).commit(["params.yaml"], "mine")


@pytest.mark.slow
def test_two_runs_at_once_make_one_version(one: Workspace) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.pipelines.datasets.small_versions import Workspace, second_version\n"
        "second_version(Workspace(Path(sys.argv[1])))"
    )
    root = ROOT
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(one.root)], cwd=root, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    errors = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert [v.id for v in list_versions(one.root)] == ["v0001", "v0002"]
    assert not any(c.faults for c in verify(one.root))
