"""Which dataset versions hold some rows: their manifests, read without opening DVC.

A thousand versions are two git commands and their manifests in the cache, each read once for all rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import DatasetError
from core.workspace import Workspace
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import folders_of
from pipelines.datasets.layout import DATASET, LOCK, MANIFEST, order
from pipelines.datasets.manifest import SETS, Manifest
from pipelines.datasets.partitions import in_folder, read_partition

CACHE = ".dvc/cache/files/md5"
OUT = re.compile(rf"- path: {DATASET}\n(?:\s+\w+: .*\n)*?\s+md5: (\w+\.dir)")
Place = tuple[str, int]  # a partition, and the row's place in it


@dataclass
class Holders:
    """sets: version -> the set of each of the places that it holds, oldest version first. not_here:
    versions whose manifest would have to be fetched."""

    sets: dict[str, list[str]] = field(default_factory=dict)
    not_here: list[str] = field(default_factory=list)


def place_of(place: Workspace, partition: str, row_id: str) -> Place | None:
    """Where a row lies in a partition of the folder; None where it or the partition is not there."""
    try:
        table = read_partition(in_folder(place.reservoir)(partition), ["row_id"])
    except DatasetError:
        return None
    at = table["row_id"].index(row_id).as_py()
    return (partition, at) if at >= 0 else None


def holders(root: Path, places: Iterable[Place]) -> Holders:
    """Every version that trains or evaluates on rows at these places."""
    wanted, found = list(places), Holders()
    if not wanted:
        return found
    since = min(order(partition) for partition, _ in wanted)
    repository = Repository(root)
    tags = {id: commit for id, commit in repository.tags().items() if order(id) >= since}
    for version, path in _manifests(repository, tags).items():
        if path is None:
            found.not_here.append(version)
            continue
        sets = sets_at(Manifest.load(path), wanted)
        if sets:
            found.sets[version] = sets
    return found


def sets_at(manifest: Manifest, places: Sequence[Place]) -> list[str]:
    """The set of each place that a version holds, those it does not hold left out."""
    starts = dict(zip(manifest.partitions, manifest.ends - manifest.counts, strict=True))
    numbers = [int(manifest.sets[starts[name] + at]) for name, at in places if name in starts]
    return [SETS[number - 1] for number in numbers if number]


def _manifests(repository: Repository, tags: Mapping[str, str]) -> Mapping[str, Path | None]:
    """The manifests of versions (id -> commit), in the cache."""
    root = repository.root
    locks = repository.read_many([f"{commit}:{LOCK}" for commit in tags.values()]) if tags else []
    tags = {id: c for (id, c), lock in zip(tags.items(), locks, strict=True) if lock}  # versions
    locks = [lock for lock in locks if lock]
    listed = {id: OUT.search(lock) for id, lock in zip(tags, locks, strict=True)}
    odd = {id: tags[id] for id, found in listed.items() if found is None}
    oids = {id: found[1] for id, found in listed.items() if found}
    oids |= {id: outs[DATASET] for id, outs in folders_of(repository, odd).items()} if odd else {}
    cache = root / CACHE
    if not cache.is_dir():  # the user's cache is elsewhere
        with repository.objects() as objects:
            cache = Path(objects.cache.path)
    return {id: _manifest(cache, oids[id]) for id in tags}


def _manifest(cache: Path, listing: str) -> Path | None:
    try:
        files = json.loads((cache / listing[:2] / listing[2:]).read_bytes())
        oid = next(x["md5"] for x in files if x["relpath"] == MANIFEST)
    except (FileNotFoundError, StopIteration):
        return None
    path = cache / oid[:2] / oid[2:]
    return path if path.is_file() else None
