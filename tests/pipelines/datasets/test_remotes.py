"""Where the bytes are: other remotes, clones, and what nobody needs any more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.errors import DatasetError
from core.workspace import Workspace
from pipelines.datasets.contents import rows_of
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.gc import collect, find_garbage
from pipelines.datasets.history import list_versions
from pipelines.datasets.objects import Objects
from pipelines.datasets.partitions import read
from pipelines.datasets.remote import pull, push
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import checkout
from tests.pipelines.datasets.small_versions import first


def add_remote(workspace: Workspace, name: str, url: Path) -> None:
    with (workspace.root / ".dvc/config.local").open("a") as file:
        file.write(f"['remote \"{name}\"']\n    url = {url}\n")


def objects_in(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("files/md5/*/*")}


def cache(workspace: Workspace) -> Path:
    return workspace.root / ".dvc" / "cache"


def whole(workspace: Workspace, **options: str) -> bool:
    return not any(c.faults for c in verify(workspace.root, **options))  # type: ignore[arg-type]


# -- push and pull ------------------------------------------------------------------------------


def test_every_version_goes_to_another_remote_once(two: Workspace, tmp_path: Path) -> None:
    add_remote(two, "backup", tmp_path / "backup")
    sent = push(two.root, remote="backup")
    assert (sent.remote, sent.versions, sent.objects) == ("backup", 2, 11)
    assert objects_in(tmp_path / "backup") == objects_in(cache(two))
    assert push(two.root, remote="backup").objects == 0
    assert whole(two, remote="backup")


def test_one_version_goes_alone(two: Workspace, tmp_path: Path) -> None:
    add_remote(two, "backup", tmp_path / "backup")
    assert push(two.root, ["v0001"], "backup").objects == 5
    assert push(two.root, ["v0002"], "backup").objects == 6


def test_a_clone_is_filled_from_a_remote(two: Workspace, tmp_path: Path) -> None:
    Repository(two.root).git("clone", "--quiet", str(two.root), str(tmp_path / "clone"))
    clone = Workspace(tmp_path / "clone")
    add_remote(clone, "origin", two.state / "remote")
    assert pull(clone.root, remote="origin").objects == 11
    assert pull(clone.root, remote="origin").objects == 0
    checkout(clone.root, "v0001")
    assert sorted(read(clone.reservoir)["input"]) == sorted(first()["input"])
    assert len(rows_of(clone.root, "v0002")) == 6


def test_a_push_that_broke_off_goes_on(
    two: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing goes last, so what is half there is never taken for whole."""
    add_remote(two, "backup", tmp_path / "backup")
    real, left = Objects._move, [1]

    def once(self: Objects, *args: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "_move", once)
        with pytest.raises(KeyboardInterrupt):
            push(two.root, remote="backup")
    assert not [name for name in objects_in(tmp_path / "backup") if name.endswith(".dir")]
    push(two.root, remote="backup")
    assert whole(two, remote="backup")


def test_an_unknown_remote_is_named_with_those_there_are(two: Workspace) -> None:
    with pytest.raises(DatasetError) as fault:
        push(two.root, remote="nowhere")
    assert str(fault.value) == (
        "there is no remote nowhere\n"
        f"  where:    {two.root}/.dvc/config\n"
        "  got:      config file error: remote 'nowhere' doesn't exist\n"
        "  expected: one of: local\n"
        "  do:       dvc remote add -d NAME URL"
    )


def test_a_remote_that_refuses_is_one_clear_error(two: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    add_remote(two, "broken", tmp_path / "file")
    with pytest.raises(DatasetError, match=r"(?s)the remote broken refuses.*Not a directory.*again"):
        push(two.root, remote="broken")
    shutil.rmtree(cache(two))
    with pytest.raises(DatasetError, match=r"(?s)neither in the DVC cache nor at the.*/file/files"):
        pull(two.root, remote="broken")


def test_bytes_that_changed_on_the_way_are_not_taken(two: Workspace) -> None:
    shutil.rmtree(cache(two))
    files = [p for p in (two.state / "remote/files/md5").rglob("*") if p.is_file()]
    partition = max(files, key=lambda p: p.stat().st_size)
    partition.chmod(0o644)
    partition.write_bytes(b"x" + partition.read_bytes()[1:])
    with pytest.raises(DatasetError, match="the remote gave other bytes than were stored"):
        pull(two.root)
    assert not (cache(two) / "files/md5" / partition.parent.name / partition.name).exists()


# -- gc -----------------------------------------------------------------------------------------


def litter(workspace: Workspace) -> Path:
    """An object that no version ever had."""
    path = cache(workspace) / "files/md5/ab" / ("c" * 30)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 100)
    return path


def test_gc_removes_only_what_nothing_needs(two: Workspace) -> None:
    stray = litter(two)
    found = find_garbage(two.root)
    assert (found.cache, found.remote, found.drop) == ({"ab" + "c" * 30: 100}, {}, ())
    assert stray.exists()
    collect(two.root, found)
    assert not stray.exists()
    assert whole(two)
    assert find_garbage(two.root).cache == {}


def test_gc_leaves_what_branches_and_the_folder_need(two: Workspace) -> None:
    """Data that the user tracks with DVC, on a branch of their own or not even committed."""
    repository = Repository(two.root)
    name = "ab" + "c" * 30
    for where in ("mine.dvc", "other.dvc"):
        litter(two)
        (two.root / where).write_text(f"outs:\n- md5: {name}\n  hash: md5\n  path: mine\n")
        assert find_garbage(two.root).cache == {}
        if where == "mine.dvc":
            repository.git("checkout", "--quiet", "-b", "experiment")
            repository.commit([where], "mine")
            repository.git("checkout", "--quiet", "main")
            assert not (two.root / where).exists()
            assert find_garbage(two.root).cache == {}


def test_gc_clears_a_remote_that_is_named(two: Workspace) -> None:
    remote = two.state / "remote/files/md5/ab"
    remote.mkdir(exist_ok=True)
    (remote / ("c" * 30)).write_bytes(b"x" * 7)
    assert find_garbage(two.root).remote == {}
    found = find_garbage(two.root, remote="local")
    assert found.remote == {"ab" + "c" * 30: 7}
    collect(two.root, found)
    assert not list(remote.glob("c*"))
    assert whole(two)


def test_a_version_is_given_up_by_name_and_leaves_the_others_whole(two: Workspace) -> None:
    found = find_garbage(two.root, drop=["v0001"], remote="local")
    # its block's listing, its manifest and the listing of that, and the empty champion
    assert len(found.cache) == len(found.remote) == 4
    collect(two.root, found)
    assert [v.id for v in list_versions(two.root)] == ["v0002"]
    assert whole(two)
    assert len(rows_of(two.root, "v0002")) == 6


def test_the_newest_version_is_not_given_up(two: Workspace) -> None:
    with pytest.raises(DatasetError, match=r"(?s)newest version cannot be given up.*v0002"):
        find_garbage(two.root, drop=["v0002"])
    with pytest.raises(DatasetError, match="there is no dataset version v0009"):
        find_garbage(two.root, drop=["v0009"])
    assert whole(two)


def test_what_a_new_version_needs_meanwhile_is_not_removed(two: Workspace) -> None:
    """Between the question and the answer another process may have begun to use an object."""
    litter(two)
    found = find_garbage(two.root)
    (two.root / "mine.dvc").write_text(f"outs:\n- md5: {'ab' + 'c' * 30}\n  path: mine\n")
    collect(two.root, found)
    assert (cache(two) / "files/md5/ab" / ("c" * 30)).exists()
