"""The fences of many versions at once: two rows are compared once, however many versions have both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.near import fence
from core.records import Array
from core.texts import words
from pipelines.datasets import leaks
from pipelines.datasets.leaks import LESS, Vectors, vectors
from pipelines.datasets.manifest import TRAIN, Manifest
from pipelines.datasets.partitions import among, read_partition


class Fences:
    """Versions are added, then asked for together. A place is a row's number among all partitions."""

    def __init__(self, path: Callable[[str], Path]) -> None:
        """path: where the object with an oid lies."""
        self.path = path
        self.versions: dict[str, tuple[Sequence[str], Path]] = {}  # oids of partitions; the manifest
        self.starts: dict[str, int] = {}  # oid of a partition -> place of its first row
        self.rows = 0

    def add(self, id: str, oids: Sequence[str], manifest: Path) -> None:
        """A version whose files are all there."""
        self.versions[id] = oids, manifest
        for oid, count in zip(oids, Manifest.load(manifest).counts, strict=True):
            if oid not in self.starts:
                self.starts[oid] = self.rows
                self.rows += int(count)

    def faults(self) -> dict[str, str]:
        """Version -> which rows train that the fence should have kept out; the others are left out."""
        train, held = np.zeros(self.rows, bool), np.zeros(self.rows, bool)
        for id in self.versions:
            trains, tests = self._places(id)
            train[trains], held[tests] = True, True
        numbers, theirs = self._read(held)
        widest = {name: self._widest(*found) for name, found in theirs.items()}
        near = [(n, *self._near(train, n, *theirs[n], close)) for n, close in widest.items()]
        return {id: said for id in self.versions if (said := self._fault(id, numbers, theirs, near))}

    def _fault(
        self, id: str, numbers: Array, theirs: Vectors, near: list[tuple[str, Array, Array]]
    ) -> str:
        trains, tests = self._places(id)
        found = leaks.of_words(numbers, trains, tests)
        for name, pairs, squares in near:
            here = among(pairs[:, 0], trains) & among(pairs[:, 1], tests)
            if here.any():
                pairs = pairs[here & (squares <= self._close(tests, *theirs[name]))]
                found += leaks.near_copies(*pairs.T)
        return leaks.in_words(leaks.one_each(found), self._name)

    def _places(self, id: str) -> tuple[Array, Array]:
        """The places of a version that train, and those that evaluate."""
        oids, path = self.versions[id]
        manifest = Manifest.load(path)
        parts = [np.arange(n) + self.starts[o] for o, n in zip(oids, manifest.counts, strict=True)]
        places = np.concatenate([np.zeros(0, np.int64), *parts])
        return places[manifest.sets == TRAIN], places[manifest.sets > TRAIN]

    def _tables(self, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        """Each partition: the place of its first row, and its rows."""
        for oid, start in self.starts.items():
            yield start, read_partition(self.path(oid), columns)

    def _read(self, held: Array) -> tuple[Array, Vectors]:
        """(rows,) the number of each row's words; and what evaluates anywhere, by places."""
        numbers, known = np.zeros(self.rows, np.int64), dict[str, int]()
        parts: dict[str, list[tuple[Array, Array]]] = {}
        for start, table in self._tables(["text", "encoder", "embedding"]):
            said = [known.setdefault(words(t), len(known)) for t in table["text"].to_pylist()]
            numbers[start : start + len(said)] = said
            tests = np.flatnonzero(held[start : start + len(said)])
            for name, (at, rows) in vectors(table.take(tests)).items():
                parts.setdefault(name, []).append((start + tests[at], rows))
        return numbers, {name: _joined(found) for name, found in parts.items()}

    def _close(self, tests: Array, at: Array, rows: Array) -> float:
        return LESS * fence(rows[among(at, tests)])

    def _widest(self, at: Array, rows: Array) -> float:
        return max(self._close(self._places(id)[1], at, rows) for id in self.versions)

    def _near(
        self, train: Array, encoder: str, at: Array, rows: Array, close: float
    ) -> tuple[Array, Array]:
        """(p, 2) places of what trains anywhere and what evaluates anywhere, and is within `close`; and
        (p,) squared distances."""
        found = [(np.zeros((0, 2), np.int64), np.zeros(0))]
        for start, table in self._tables(["encoder", "embedding"]):
            trains = np.flatnonzero(train[start : start + len(table)])
            here, ours = vectors(table.take(trains)).get(encoder, (at[:0], rows[:0]))
            pairs, squares = leaks.near_pairs(ours, rows, close)
            places = [start + trains[here[pairs[:, 0]]], at[pairs[:, 1]]]
            found.append((np.stack(places, axis=1), squares))
        pairs, squares = (np.concatenate(part) for part in zip(*found, strict=True))
        return pairs, squares

    def _name(self, place: int) -> str:
        oid = max(
            (o for o, start in self.starts.items() if start <= place), key=self.starts.__getitem__
        )
        table = read_partition(self.path(oid), ["row_id", "text"])
        return leaks.named(**table.slice(place - self.starts[oid], 1).to_pylist()[0])


def _joined(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Those of the commonest length."""
    dim = max(sorted({m.shape[1] for _, m in parts}), key=[m.shape[1] for _, m in parts].count)
    same = [(at, m) for at, m in parts if m.shape[1] == dim]
    return np.concatenate([at for at, _ in same]), np.concatenate([m for _, m in same])
