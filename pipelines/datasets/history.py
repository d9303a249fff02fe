"""The versions that were made, as git has them. Nothing here changes anything."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.errors import DatasetError
from core.progress import doing
from core.records.versions import DatasetVersion
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.inputs import Inputs
from pipelines.datasets.layout import (
    CHAMPION,
    DATASET,
    LOCK,
    METRICS,
    STAGE,
    VERSION_FILE,
    blocks,
    parse,
    pointer,
)

RECORD = (VERSION_FILE, METRICS, LOCK)


def list_versions(root: Path) -> list[DatasetVersion]:
    """Every version of the workspace, oldest first."""
    doing("reading versions")
    repository = Repository(root)
    tags = repository.tags()
    texts = repository.read_many([f"{c}:{p}" for c in tags.values() for p in RECORD])
    n = len(RECORD)
    return [
        _version(root, name, commit, texts[i * n : (i + 1) * n])
        for i, (name, commit) in enumerate(tags.items())
    ]


def version(root: Path, id: str) -> DatasetVersion:
    """The record of one version."""
    doing(f"reading {id}")
    repository = Repository(root)
    commit = find(repository, id)
    return _version(root, id, commit, repository.read(commit, RECORD))


def find(repository: Repository, id: str) -> str:
    """The commit of a version."""
    commit = repository.commit_of(id)
    if commit:
        return commit
    tags = list(repository.tags())
    near = difflib.get_close_matches(id, tags, n=1) if len(tags) > 1 else []
    known = f"one of {tags[0]} .. {tags[-1]}" if len(tags) > 1 else "".join(tags)
    raise DatasetError(
        f"there is no dataset version {id}",
        where=str(repository.root),
        expected="".join(f"{n}, or " for n in near) + known or "none was made yet",
        do="everloop data list",
    )


def folders(root: Path, partitions: Sequence[str]) -> dict[str, str]:
    """The folders of the version that is in the workspace: folder -> oid of its listing."""
    wanted = [*blocks(partitions), CHAMPION]
    texts = [(root / pointer(f)).read_text(encoding="utf-8") for f in wanted]
    return _oids(wanted, texts, (root / LOCK).read_text(encoding="utf-8"))


def folders_of(repository: Repository, commits: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The same of versions (id -> commit), all with two git commands."""
    found = repository.read_many([f"{c}:{VERSION_FILE}" for c in commits.values()])
    inputs = [Inputs.from_json(t, f"dataset/{id}") for id, t in zip(commits, found, strict=True)]
    wanted = [[*blocks(i.partitions), CHAMPION] for i in inputs]
    asked = [
        f"{commit}:{path}"
        for commit, names in zip(commits.values(), wanted, strict=True)
        for path in (*map(pointer, names), LOCK)
    ]
    texts = iter(repository.read_many(asked))
    return {
        id: _oids(names, [next(texts) for _ in names], next(texts), f"dataset/{id}")
        for id, names in zip(commits, wanted, strict=True)
    }


def _oids(names: Sequence[str], pointers: Sequence[str], lock: str, where: str = "") -> dict[str, str]:
    try:
        found = {f: str(parse(t)["outs"][0]["md5"]) for f, t in zip(names, pointers, strict=True)}
        return {**found, DATASET: _revision(lock)}
    except (KeyError, TypeError, IndexError, StopIteration, yaml.YAMLError) as fault:
        raise DatasetError(
            "a tag is not a dataset version of this Everloop",
            where=where,
            got=f"{type(fault).__name__} {fault} in its .dvc files or dvc.lock".splitlines()[0],
            do="everloop data verify",
        ) from None


def _revision(lock: str) -> str:
    outs = parse(lock)["stages"][STAGE]["outs"]
    return str(next(o["md5"] for o in outs if o["path"] == DATASET))


def _left_out(found: Mapping[str, Any]) -> dict[str, int]:
    """Why rows that were labelled for training do not train, from what the `datasets` stage counted."""
    counted = {
        "near-copies of evaluation rows": found.get("fenced", 0),
        "of labels that are no more": found.get("unlabelled", 0),
        "retired, as their truth has changed": found.get("retired", 0),
        f"outside the policy `{found['policy']}`": found.get("unchosen", 0),
    }
    return {why: int(n) for why, n in counted.items() if n}


def _version(root: Path, id: str, commit: str, texts: list[str]) -> DatasetVersion:
    """The record of a tagged commit, from its three RECORD files."""
    where = f"dataset/{id} in {root}"
    if not all(texts):
        lacking = [p for p, t in zip(RECORD, texts, strict=True) if not t]
        raise DatasetError(
            "a tag is not a dataset version", where=where, got=f"no {', no '.join(lacking)}"
        )
    inputs, found = Inputs.from_json(texts[0], where), json.loads(texts[1])
    return DatasetVersion(
        id=id,
        as_of=inputs.as_of,
        policy=found["policy"],
        seed=inputs.seed,
        parent=inputs.parent,
        revision=_revision(texts[2]),
        commit=commit,
        rows=found["rows"],
        labels=found["labels"],
        schema_hash=found["schema_hash"],
        label_set=found.get("label_set", 0),
        left_out=_left_out(found),
    )


@dataclass(frozen=True)
class Entry:
    """One version of a chain. more: its rows by set, less those of its parent."""

    version: DatasetVersion
    more: dict[str, int]
    reason: str  # why it was made, "" where nobody said


def log(root: Path, id: str) -> list[Entry]:
    """The chain that ends in a version, newest first."""
    repository = Repository(root)
    find(repository, id)
    known = {v.id: v for v in list_versions(root)}
    chain = list(_chain(known, id))
    commits = repository.read_many([v.commit for v in chain])
    return [
        Entry(v, _more(v, known.get(v.parent)), _reason(text))
        for v, text in zip(chain, commits, strict=True)
    ]


def _chain(known: dict[str, DatasetVersion], id: str) -> Iterator[DatasetVersion]:
    seen: set[str] = set()  # a chain that bites its tail ends
    while id in known and id not in seen:
        seen.add(id)
        yield known[id]
        id = known[id].parent


def _more(version: DatasetVersion, parent: DatasetVersion | None) -> dict[str, int]:
    before = parent.rows if parent else {}
    return {name: n - before.get(name, 0) for name, n in version.rows.items()}


def _reason(commit: str) -> str:
    """What the commit says below its first line."""
    message = commit.partition("\n\n")[2]
    return " ".join(message.partition("\n\n")[2].split())
