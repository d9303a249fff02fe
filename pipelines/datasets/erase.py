"""Forget rows of the reservoir: the one case in which a partition is written anew.

A row is blanked at its place, so that every other row keeps its own and manifests keep their meaning.
Old versions then read the new file (see `forgotten`); objects with the old one leave the cache.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import DatasetError
from core.files import write_whole
from core.texts import normal
from core.workspace import Workspace
from pipelines.datasets import opinions
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.forgotten import Rewritten, entries, rows_gone, to_json
from pipelines.datasets.history import folders_of
from pipelines.datasets.layout import FORGOTTEN, MANIFEST, RESERVOIR, order
from pipelines.datasets.manifest import Manifest
from pipelines.datasets.objects import Objects, md5
from pipelines.datasets.partitions import (
    GONE,
    SCHEMA,
    WITHOUT_EMBEDDING,
    in_folder,
    read_partition,
    scan,
    write,
)
from pipelines.datasets.versions import partitions_here

BLANK = {
    "input": "",
    "target": "",
    "set": GONE,
    "embedding": None,
    "segments": "{}",
    "user_key": "",
    "annotator": "",
}


def places(place: Workspace) -> pd.DataFrame:
    """Every row that is in the folder's reservoir: partition, at (its place there), row_id, input,
    user_key, set. Raises DatasetError where the folder does not hold the newest version."""
    repository = Repository(place.root)
    newest = next(reversed(repository.tags()), "")
    names = partitions_here(repository, newest)
    found = scan(in_folder(place.reservoir), names, WITHOUT_EMBEDDING)
    rows: pd.DataFrame = found.table.select(["row_id", "input", "user_key", "set"]).to_pandas()
    rows["partition"] = [name for name, n in zip(names, found.counts, strict=True) for _ in range(n)]
    rows["at"] = rows.groupby("partition").cumcount()
    return rows[rows["set"] != GONE]


def matching(rows: pd.DataFrame, asked: str, value: str, row_ids: Collection[str]) -> pd.DataFrame:
    """Those of `places`, with their text, that are meant: by id, or by user key or text where that was
    asked."""
    meant = rows["row_id"].isin(list(row_ids))
    if asked == "user":
        meant |= rows["user_key"] == value
    elif asked == "text":
        meant |= rows["text"].map(normal) == normal(value)
    else:
        meant |= rows["row_id"] == value
    return rows[meant]


def erase(place: Workspace, row_ids: Collection[str], now: datetime) -> list[str]:
    """Blank these rows in the folder and note it; the partitions that are not what the newest version
    says, for `make_version`. Killed anywhere and called again, it ends the same."""
    repository = Repository(place.root)
    with repository.exclusive():
        rows = places(place)
        touched = sorted(set(rows["partition"][rows["row_id"].isin(list(row_ids))]), key=order)
        for name in touched:
            _blank(in_folder(place.reservoir)(name), row_ids)
        opinions.blank(place.reservoir, row_ids)
        return _note(place, repository, now)


def _blank(path: Path, row_ids: Collection[str]) -> None:
    table = read_partition(path, SCHEMA.names)
    gone = pc.is_in(table["row_id"], value_set=pa.array(list(row_ids), pa.string()))
    for name, value in BLANK.items():
        at, field = table.column_names.index(name), SCHEMA.field(name)
        blank = pa.scalar(value, field.type)
        table = table.set_column(at, field, pc.if_else(gone, blank, table[name]))
    write(path, table.cast(SCHEMA).replace_schema_metadata(None))


def _note(place: Workspace, repository: Repository, now: datetime) -> list[str]:
    """Compare the folder with the newest version; what differs was written anew."""
    newest = list(repository.tags().items())[-1:]
    if not newest:
        return []
    (outs,) = folders_of(repository, dict(newest)).values()
    path = place.root / FORGOTTEN
    known = entries(path.read_text(encoding="utf-8") if path.exists() else "", str(path))
    more = []
    with repository.objects() as objects:
        for folder, oid in outs.items():
            if folder.startswith(RESERVOIR):
                objects.bring([oid])
                more += _changed(place.root / folder, objects.written(oid), now)
    same = {(e.was, e.now) for e in known}
    fresh = [e for e in more if (e.was, e.now) not in same]
    if fresh:
        stale = {e.was for e in fresh}  # of a run that was killed, and never became a version
        write_whole(path, to_json([*(e for e in known if e.was not in stale), *fresh]))
    return [e.partition for e in more]


def _changed(folder: Path, listed: dict[str, str], now: datetime) -> list[Rewritten]:
    found = []
    for name, was in listed.items():
        path = folder / name
        if path.exists() and (is_now := md5(path)) != was:
            blank = read_partition(path, ["set"])["set"].to_pylist().count(GONE)
            found.append(Rewritten(path.stem, f"{now:%Y-%m-%d}", blank, was, is_now))
    return found


def purge(place: Workspace) -> int:
    """Remove the old files from the DVC cache; how many were there."""
    repository = Repository(place.root)
    with repository.exclusive(), repository.objects() as objects:
        old = set(objects.replaced) - objects.lacking(objects.replaced)
        objects.remove(objects.cache, old)
    return len(old)


def still_there(place: Workspace) -> dict[str, int]:
    """Old files at remotes: remote -> how many. One that cannot be asked says so with -1."""
    repository = Repository(place.root)
    found = {}
    for name in repository.remotes():
        with repository.objects(name) as objects:
            found[name] = _count(objects)
    return found


def _count(objects: Objects) -> int:
    old = list(objects.replaced)
    try:
        return len(old) - len(objects.lacking_there(old))
    except DatasetError:
        return -1


def gone_here(place: Workspace) -> str:
    """In words, how many rows of the version in the folder were forgotten; "" where none was."""
    manifest = Manifest.load(place.dataset / MANIFEST)
    found = scan(in_folder(place.reservoir), manifest.partitions, ["set"])
    return rows_gone(manifest, found.table["set"].to_pandas(), Repository(place.root).forgotten())
