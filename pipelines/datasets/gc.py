"""What no version needs: objects left by killed runs, experiments and versions that were given up.

Needed is what any branch, any tag or the folder itself points to, whoever put it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.errors import DatasetError
from core.progress import doing
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import find
from pipelines.datasets.layout import parse
from pipelines.datasets.objects import Objects


@dataclass(frozen=True)
class Garbage:
    """What could go. cache, remote: oid -> bytes."""

    drop: tuple[str, ...]  # versions to give up
    cache: dict[str, int]
    remote: dict[str, int]
    remote_name: str  # "" when it was not looked at


def find_garbage(root: Path, drop: Sequence[str] = (), remote: str | None = None) -> Garbage:
    """What is not needed here, and at a remote where one is named. Changes nothing.

    drop: versions to give up. What later versions share with them stays. Raises DatasetError for the
    newest version, which the next one grows from.
    """
    doing("looking for what nothing needs")
    repository = Repository(root)
    _check_drop(repository, drop)
    with repository.objects(remote) as objects:
        needed = _needed(repository, objects, drop)
        sides = [objects.cache, *([objects.remote] if remote else [])]
        cache, *there = (objects.sizes(odb, objects.all(odb) - needed) for odb in sides)
    return Garbage(tuple(drop), cache, there[0] if there else {}, remote or "")


def collect(root: Path, garbage: Garbage) -> None:
    """Let it go: first the tags, so that no version is half there; then what is still not needed."""
    repository = Repository(root)
    with repository.exclusive():
        _check_drop(repository, garbage.drop)
        with repository.objects(garbage.remote_name or None) as objects:
            needed = _needed(repository, objects, garbage.drop)
            for id in garbage.drop:
                repository.untag(id)
            objects.remove(objects.cache, garbage.cache.keys() - needed)
            if garbage.remote_name:
                objects.remove(objects.remote, garbage.remote.keys() - needed)


def _check_drop(repository: Repository, drop: Sequence[str]) -> None:
    tags = repository.tags()
    for id in drop:
        find(repository, id)
    newest = next(reversed(tags), "")
    if newest in drop:
        raise DatasetError(
            "the newest version cannot be given up: the next one grows from it",
            where=str(repository.root),
            got=newest,
            expected="an older version",
            do="everloop data list",
        )


def _needed(repository: Repository, objects: Objects, drop: Sequence[str]) -> set[str]:
    """Every oid that a .dvc file or a dvc.lock points to, and the files of the folders among them."""
    skipped = [f"--exclude=refs/tags/dataset/{id}" for id in drop]
    listed = repository.git("rev-list", "--objects", "--no-walk", *skipped, "--all").splitlines()
    named = [line.partition(" ") for line in listed]
    blobs = [oid for oid, _, path in named if _points(path)]
    texts = set(repository.read_many(blobs)) if blobs else set()
    mine = ["-z", "--cached", "--others", "--exclude-standard", "--", "*.dvc", "*dvc.lock"]
    here = {repository.root / p for p in repository.git("ls-files", *mine).split("\0") if p}
    texts |= {p.read_text(encoding="utf-8") for p in here if p.is_file()}
    pointed = {oid for text in texts for oid in _oids(text)}
    folders = {oid for oid in pointed if oid.endswith(".dir")}
    lacking = objects.lacking(folders)
    objects.bring(lacking - objects.lacking_there(lacking))
    known = folders - objects.lacking(folders)  # of a listing that is nowhere nothing can be had
    return pointed | {file for oid in known for file in objects.listing(oid).values()}


def _points(path: str) -> bool:
    return path.endswith(".dvc") or path.rsplit("/", 1)[-1] == "dvc.lock"


def _oids(text: str) -> Iterable[str]:
    try:
        found: Any = parse(text)
        outs = list(found.get("outs", []))
        for stage in found.get("stages", {}).values():
            outs += stage.get("outs", [])
        return [str(out["md5"]) for out in outs if "md5" in out]
    except (yaml.YAMLError, AttributeError, TypeError):
        return []
