"""Versions between the DVC cache here and a remote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import DatasetError
from core.progress import doing
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import find, folders_of
from pipelines.datasets.objects import Objects


@dataclass(frozen=True)
class Transferred:
    """What went over the line. Objects that were there already are not counted."""

    remote: str
    url: str
    versions: int
    objects: int


def push(root: Path, ids: Sequence[str] = (), remote: str | None = None) -> Transferred:
    """Send versions, all unless named, to a remote. Cut off and begun again, it sends the rest."""
    return _move(root, ids, remote, lambda objects, folders: objects.send(folders))


def pull(root: Path, ids: Sequence[str] = (), remote: str | None = None) -> Transferred:
    """Fetch versions, all unless named, into the DVC cache. data/ is left alone."""

    def fetch(objects: Objects, folders: set[str]) -> int:
        came = objects.bring(folders)
        named = {oid for folder in folders for oid in objects.listing(folder).values()}
        return came + objects.bring(named)

    return _move(root, ids, remote, fetch)


def _move(
    root: Path, ids: Sequence[str], remote: str | None, move: Callable[[Objects, set[str]], int]
) -> Transferred:
    repository = Repository(root)
    with repository.exclusive(), repository.objects(remote) as objects:
        commits = {id: find(repository, id) for id in ids} or repository.tags()
        if not commits:
            raise DatasetError(
                "there is no dataset version yet",
                where=str(repository.root),
                do="everloop train TRAIN.csv --eval EVAL.csv; in a clone: git fetch --tags",
            )
        doing("moving objects between cache and remote")
        folders = {o for outs in folders_of(repository, commits).values() for o in outs.values()}
        moved = move(objects, folders)
        return Transferred(objects.remote_name, objects.url, len(commits), moved)
