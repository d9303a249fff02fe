"""Do a version's tag, its DVC hashes, its objects and its manifest still agree?

tag -> commit -> version.json, .dvc files, dvc.lock -> listings -> objects -> manifest -> rows. Each
link is computed again, every object of the cache is hashed anew; nothing is changed or fetched. And no
row trains that is too near one that evaluates: all of both are compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.arrays import Array
from core.errors import DatasetError
from core.progress import doing
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.fence import Fence, in_words
from pipelines.datasets.forgotten import rows_gone
from pipelines.datasets.form import EARLIER_SCHEMA, schema_hash, summary
from pipelines.datasets.history import RECORD, find, folders_of
from pipelines.datasets.inputs import Inputs
from pipelines.datasets.layout import (
    BLOCKS,
    DATASET,
    MANIFEST,
    METRICS,
    RESERVOIR,
    STAGE,
    VERSION_FILE,
    block,
    blocks,
    parse,
    pointer,
)
from pipelines.datasets.manifest import TRAIN, Manifest
from pipelines.datasets.objects import Objects, md5
from pipelines.datasets.partitions import read_partition
from pipelines.datasets.rows import read_rows


@dataclass
class Verification:
    """What was found of one version. It is whole when there are no faults."""

    id: str
    objects: int = 0
    bytes: int = 0
    rows: int = 0
    only_there: int = 0  # objects that the cache lacks and the remote has
    forgotten: str = ""  # in words, how many of its rows were forgotten since
    faults: list[str] = field(default_factory=list)


def verify(
    root: Path,
    ids: Sequence[str] = (),
    remote: str | None = None,
    deep: bool = False,
    recorded: Mapping[str, str] | None = None,
) -> list[Verification]:
    """Check versions, all unless named, against the cache and a remote, the default one unless named.

    deep: the remote's objects are read and hashed too; else they only have to be there. recorded: the
    commits that the loop noted when it made the versions.
    """
    repository = Repository(root)
    tags = repository.tags()
    chosen = {id: find(repository, id) for id in ids} or tags
    with repository.objects(remote) as objects:
        verifier = _Verifier(repository, objects, tags, recorded or {}, deep)
        found: list[Verification] = []
        for id, commit in chosen.items():
            doing("hashing the objects", len(found), len(chosen), "versions")
            found.append(verifier.check(id, commit))
        doing("comparing rows that train with rows that evaluate")
        leaked = dict(verifier.leaks())
    for check in found:
        if check.id in leaked:
            check.faults.append(f"trains beside rows that evaluate: {leaked[check.id]}")
    return found


@dataclass
class _Verifier:
    """Looks at each object once, however many versions share it."""

    repository: Repository
    objects: Objects
    tags: Mapping[str, str]
    recorded: Mapping[str, str]
    deep: bool

    def __post_init__(self) -> None:
        self.seen: dict[str, str] = {}  # oid -> what is wrong with it, "" for nothing
        self.there: set[str] = set()  # oids found at the remote
        self.fenced: dict[str, tuple[Sequence[str], Path]] = {}  # oids of partitions, manifest
        self.tables: dict[str, pa.Table] = {}  # oid of a partition -> its ids, labels, sets

    def check(self, id: str, commit: str) -> Verification:
        found = Verification(id)
        try:
            texts = self.repository.read(commit, [*RECORD, "params.yaml"])
            inputs = Inputs.from_json(texts[0], f"dataset/{id}")
            found.faults += [*self._tag(id, commit, inputs), *self._lock(commit, inputs, texts)]
            folders = folders_of(self.repository, {id: commit})[id]
            files = self._objects(found, folders)
            if not any(self.seen[oid] for oid in files.values()):
                found.faults += self._rows(found, inputs, json.loads(texts[1]), files)
        except DatasetError as fault:
            found.faults.append(f"{fault.what}: {fault.got or fault.where}")
        return found

    # -- tag and commit ---------------------------------------------------------------------

    def _tag(self, id: str, commit: str, inputs: Inputs) -> Iterator[str]:
        if inputs.id != id:
            yield f"tag dataset/{id} is on the commit of {inputs.id}: it was moved"
        noted = self.recorded.get(id)
        if noted and noted != commit:
            yield f"tag dataset/{id} is on commit {commit[:12]}, and was made on {noted[:12]}"
        earlier = self.tags.get(inputs.parent)
        if earlier and not self.repository.follows(commit, earlier):
            yield f"{inputs.parent}, its parent, is not in its history: one of the two tags was moved"

    def _lock(self, commit: str, inputs: Inputs, texts: Sequence[str]) -> Iterator[str]:
        """What dvc.lock says went in and came out is what the commit has."""
        stage = parse(texts[2])["stages"][STAGE]
        deps = {entry["path"]: entry["md5"] for entry in stage["deps"]}
        outs = {entry["path"]: entry["md5"] for entry in stage["outs"]}
        names = blocks(inputs.partitions)
        pointers = self.repository.read(commit, [pointer(n) for n in names])
        listed = {Path(pointer(n)).name: _md5(t) for n, t in zip(names, pointers, strict=True)}
        for path, locked, actual in (
            (VERSION_FILE, deps.get(VERSION_FILE), _md5(texts[0])),
            (METRICS, outs.get(METRICS), _md5(texts[1])),
            (BLOCKS, deps.get(BLOCKS), _listing(listed)),
        ):
            if locked != actual:
                yield f"{path} is not the one that dvc.lock means: it was edited"
        if stage["params"]["params.yaml"]["datasets"] != parse(texts[3]).get("datasets"):
            yield "params.yaml has another datasets policy than dvc.lock"

    # -- objects ----------------------------------------------------------------------------

    def _objects(self, found: Verification, folders: Mapping[str, str]) -> dict[str, str]:
        """Every file of the version (path -> oid), each looked at."""
        files = dict(folders)
        self._look(files)
        for folder, oid in folders.items():
            if not self.seen[oid]:
                names = self._listed(oid)
                files |= {f"{folder}/{name}": oid for name, oid in names.items()}
        self._look(files)
        found.faults += [f"{p}: {self.seen[o]}" for p, o in files.items() if self.seen[o]]
        oids = set(files.values())
        lacking = self.objects.lacking(oids)
        here = self.objects.sizes(self.objects.cache, oids - lacking)
        found.objects, found.bytes = len(oids), sum(here.values())
        found.only_there = len(lacking & self.there)
        return files

    def _look(self, files: Mapping[str, str]) -> None:
        new = {oid for oid in files.values() if oid not in self.seen}
        gone = self.objects.lacking_there(new)
        self.there |= new - gone
        for oid in new:
            self.seen[oid] = self._fault(oid, oid not in gone)

    def _fault(self, oid: str, at_remote: bool) -> str:
        path, name = self.objects.path(oid), oid.removesuffix(".dir")
        here = path.is_file()
        if here and md5(path) != name:
            again = "everloop data pull" if at_remote else "and there is no other copy"
            return f"object {oid} is damaged in the cache (rm {path}; {again})"
        if not at_remote:
            where = f"not at the remote {self.objects.remote_name}"
            return f"object {oid} is {where} (everloop data push)" if here else f"object {oid} is gone"
        if self.deep and self.objects.hash_there(oid) != name:
            return f"object {oid} is damaged at the remote {self.objects.remote_name}"
        return ""

    def _listed(self, oid: str) -> dict[str, str]:
        """Of a listing that only the remote has, the files are not known here."""
        return self.objects.listing(oid) if self.objects.path(oid).is_file() else {}

    # -- rows -------------------------------------------------------------------------------

    def _rows(
        self, found: Verification, inputs: Inputs, said: dict[str, Any], files: Mapping[str, str]
    ) -> Iterator[str]:
        """The manifest means the rows that metrics/datasets.json counts and hashes."""
        oid = files.get(f"{DATASET}/{MANIFEST}")
        if oid is None or self.objects.lacking(files.values()):
            return
        manifest = Manifest.load(self.objects.path(oid))
        if manifest.partitions != inputs.partitions:
            yield f"the manifest reads other partitions than {VERSION_FILE} says"
            return
        oids = [files.get(f"{RESERVOIR}/{block(p)}/{p}.parquet", "") for p in inputs.partitions]
        tables = [self._table(oid) for oid in oids]
        manifest.check(range(len(tables)), np.array([len(t) for t in tables]))
        placed = pa.concat_tables(tables)
        found.rows = len(placed)
        found.forgotten = rows_gone(manifest, placed["set"].to_pandas(), self.repository.forgotten())
        if found.forgotten:
            return  # the hash was of rows that nobody has any more; the files are what they should be
        if "fenced_by" in said:  # made under this fence
            self.fenced[found.id] = oids, self.objects.path(oid)
        for name, value in summary(manifest, placed).items():
            if said.get(name) != value:
                yield f"{METRICS} says {name} {said.get(name)}, the rows say {value}"
        if said.get("schema_hash") not in (schema_hash(), EARLIER_SCHEMA):
            yield f"{METRICS} says schema_hash {said.get('schema_hash')}, the rows say {schema_hash()}"

    def _table(self, oid: str) -> pa.Table:
        if not oid:
            raise DatasetError("a partition of the manifest is in no block")
        if oid not in self.tables:
            self.tables[oid] = read_partition(self.objects.path(oid), ["row_id", "target", "set"])
        return self.tables[oid]

    def leaks(self) -> Iterator[tuple[str, str]]:
        """Of the versions checked so far: which of their rows train beside rows that evaluate."""
        if not self.fenced:
            return
        oids = list(dict.fromkeys(oid for found, _ in self.fenced.values() for oid in found))
        rows = read_rows(self.objects.path, oids)
        ends = np.cumsum(rows.counts)
        starts = dict(zip(oids, ends - rows.counts, strict=True))
        fence = Fence(rows, (self._places(id, starts) for id in self.fenced))
        for id in self.fenced:
            if found := fence.leaks(*self._places(id, starts)):
                yield id, in_words(found, self.objects.path, oids, ends)

    def _places(self, id: str, starts: Mapping[str, int]) -> tuple[Array, Array]:
        """Where rows of a version train, and where they evaluate. starts: of each partition."""
        oids, path = self.fenced[id]
        manifest = Manifest.load(path)
        parts = [np.arange(n) + starts[o] for o, n in zip(oids, manifest.counts, strict=True)]
        places = np.concatenate([np.zeros(0, np.int64), *parts])
        return places[manifest.sets == TRAIN], places[manifest.sets > TRAIN]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _listing(files: Mapping[str, str]) -> str:
    """The oid of a folder, as DVC computes it."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return f"{_md5(json.dumps(entries, sort_keys=True))}.dir"
