"""`verify` proves the chain tag -> hashes -> objects -> manifest -> rows, and finds each broken link."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.workspace import Workspace
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import find, folders_of
from pipelines.datasets.layout import DATASET, MANIFEST, STAGE
from pipelines.datasets.manifest import Manifest
from pipelines.datasets.objects import files_of
from pipelines.datasets.verify import verify


def faults(workspace: Workspace, **options: object) -> dict[str, list[str]]:
    return {c.id: c.faults for c in verify(workspace.root, **options)}  # type: ignore[arg-type]


def oid(workspace: Workspace, path: str, id: str = "v0002") -> str:
    repository = Repository(workspace.root)
    with repository.objects() as objects:
        folders = folders_of(repository, {id: find(repository, id)})[id]
        return {**files_of(objects, folders), **folders}[path]


def cached(workspace: Workspace, oid: str) -> Path:
    return workspace.root / ".dvc/cache/files/md5" / oid[:2] / oid[2:]


def remote(workspace: Workspace, oid: str) -> Path:
    return workspace.state / "remote/files/md5" / oid[:2] / oid[2:]


def flip(path: Path) -> None:
    """One bit of a file, its mode and size as before."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(raw))
    path.chmod(0o444)


def amend(workspace: Workspace, *paths: str) -> None:
    """Commit files anew and move the tag of v0002 there, as somebody with a story to tell would."""
    repository = Repository(workspace.root)
    repository.commit(paths, "Dataset v0002")
    repository.git("tag", "--force", "dataset/v0002", "HEAD")


PARTITION = "data/reservoir/v0001/v0002.parquet"


def test_versions_are_whole(two: Workspace) -> None:
    first, second = verify(two.root, deep=True)
    assert (first.id, first.faults, first.rows, first.only_there) == ("v0001", [], 5, 0)
    assert (second.id, second.faults, second.rows) == ("v0002", [], 9)
    assert second.objects == 7  # three listings, two partitions, a manifest, a champion
    assert first.bytes < second.bytes < 50_000


def test_a_flipped_byte_in_the_cache_is_found(two: Workspace) -> None:
    name = oid(two, PARTITION)
    flip(cached(two, name))
    found = faults(two)
    assert found["v0001"] == []
    assert found["v0002"] == [
        f"{PARTITION}: object {name} is damaged in the cache "
        f"(rm {cached(two, name)}; everloop data pull)"
    ]
    assert faults(two, ids=["v0001"]) == {"v0001": []}


def test_a_flipped_byte_at_the_remote_is_found_when_looked_for(two: Workspace) -> None:
    name = oid(two, PARTITION)
    flip(remote(two, name))
    assert faults(two)["v0002"] == []
    assert faults(two, deep=True)["v0002"] == [
        f"{PARTITION}: object {name} is damaged at the remote local"
    ]


@pytest.mark.parametrize("path", [PARTITION, "data/champion", f"{DATASET}/{MANIFEST}"])
def test_a_missing_object_is_found(two: Workspace, path: str) -> None:
    name = oid(two, path)
    remote(two, name).rename(two.root / "aside")
    assert faults(two)["v0002"] == [
        f"{path}: object {name} is not at the remote local (everloop data push)"
    ]
    cached(two, name).unlink()
    assert faults(two)["v0002"] == [f"{path}: object {name} is gone"]
    (two.root / "aside").rename(remote(two, name))
    (check,) = verify(two.root, ["v0002"])
    assert (check.faults, check.only_there) == ([], 1)


def test_an_edited_manifest_is_found(two: Workspace) -> None:
    """Even where every hash was made anew: the rows are not those that the metrics hash."""
    manifest = Manifest.load(two.dataset / MANIFEST)
    sets = np.array(manifest.sets)
    sets[np.flatnonzero(sets == 1)[0]] = 0
    Manifest(manifest.partitions, manifest.counts, sets).write(two.dataset / MANIFEST)
    repository = Repository(two.root)
    repository.track([], STAGE)
    with repository.objects() as objects:
        objects.send({repository_revision(two)})
    amend(two, "dvc.lock")
    said = faults(two)["v0002"]
    assert [x.split(",")[0].split("{")[0].strip() for x in said] == [
        "metrics/datasets.json says rows",
        "metrics/datasets.json says labels 4",
        f"metrics/datasets.json says rows_hash {metrics(two)['rows_hash']}",
    ]


def repository_revision(workspace: Workspace) -> str:
    import yaml

    lock = yaml.safe_load((workspace.root / "dvc.lock").read_text())
    return str(lock["stages"][STAGE]["outs"][0]["md5"])


def metrics(workspace: Workspace) -> dict[str, str]:
    read: dict[str, str] = json.loads((workspace.metrics / "datasets.json").read_text())
    return read


def test_a_manifest_of_other_bytes_is_found(two: Workspace) -> None:
    name = oid(two, f"{DATASET}/{MANIFEST}")
    flip(cached(two, name))
    (said,) = faults(two)["v0002"]
    assert said.startswith(f"data/dataset/manifest.parquet: object {name} is damaged in the cache")


def test_edited_inputs_are_found(two: Workspace) -> None:
    two.version_file.write_text(two.version_file.read_text().replace('"seed": 2', '"seed": 3'))
    amend(two, "data/version.json")
    assert faults(two)["v0002"] == [
        "data/version.json is not the one that dvc.lock means: it was edited"
    ]


def test_an_edited_pointer_is_found(two: Workspace) -> None:
    pointer = two.root / "data/blocks/v0001.dvc"
    pointer.write_text(Repository(two.root).read("dataset/v0001", ["data/blocks/v0001.dvc"])[0])
    amend(two, "data/blocks/v0001.dvc")
    said = faults(two)["v0002"]
    assert said[0] == "data/blocks is not the one that dvc.lock means: it was edited"
    assert said[1].startswith("a partition of the manifest is in no block")


def test_a_moved_tag_is_found(two: Workspace) -> None:
    repository = Repository(two.root)
    made = dict(repository.tags())
    assert faults(two, recorded=made) == {"v0001": [], "v0002": []}
    repository.git("tag", "--force", "dataset/v0002", "dataset/v0001")
    said = faults(two, recorded=made)["v0002"]
    assert said[:2] == [
        "tag dataset/v0002 is on the commit of v0001: it was moved",
        f"tag dataset/v0002 is on commit {made['v0001'][:12]}, and was made on {made['v0002'][:12]}",
    ]


def test_a_rewritten_parent_is_found(two: Workspace) -> None:
    """A version's history holds its parent's commit, so the older tag cannot move unseen."""
    repository = Repository(two.root)
    identity = ["user.name=x", "user.email=x@localhost"]
    tree = repository.git("rev-parse", "dataset/v0001^{tree}").strip()
    other = repository.git("commit-tree", tree, "-m", "Dataset v0001", settings=identity).strip()
    repository.git("tag", "--force", "dataset/v0001", other)
    assert faults(two) == {
        "v0001": [],
        "v0002": ["v0001, its parent, is not in its history: one of the two tags was moved"],
    }
