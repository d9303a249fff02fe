"""How a version came to be: it, its parent, and so on to the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.records import DatasetVersion
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.history import find, list_versions


@dataclass(frozen=True)
class Entry:
    """One version of a chain. more: its rows by set, less those of its parent."""

    version: DatasetVersion
    more: dict[str, int]
    reason: str  # why it was made, "" where nobody said


def log(root: Path, id: str = "") -> list[Entry]:
    """The chain that ends in a version, the newest unless named; newest first."""
    repository = Repository(root)
    if id:
        find(repository, id)
    known = {v.id: v for v in list_versions(root)}
    chain = list(_chain(known, id or next(reversed(known), "")))
    commits = repository.read_many([v.commit for v in chain]) if chain else []
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
