"""The fence: no row that evaluates, nor a near-copy of one, trains.

Two rows are near-copies when they have the same words, or when embeddings of one encoder lie closer
than `core.near.fence` says, which curation keeps to as well. Embeddings of two encoders cannot be
compared; between those the words decide.

`fenced` says what forming keeps out. `check` asks a finished manifest, whatever formed it, and compares
by other arithmetic: forming multiplies embeddings, the check subtracts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from core.arrays import Array
from core.errors import DatasetError
from core.near import fence, unit
from core.readers import excerpt
from core.rowwise import AT_A_TIME
from pipelines.datasets.manifest import TRAIN, Manifest
from pipelines.datasets.partitions import Locate, among, read_partition
from pipelines.datasets.rows import ReservoirRows, Space, Vectors

ROUNDING = 1e-6  # of a cosine
AT_ONCE = 1 << 24  # cosines that are in memory
LESS = 0.99  # of the fence's distance, in a check: two machines may round it apart
SHOWN = 5


def least(held: Array) -> float:
    """The cosine with a held-out row (m, dim) from which on a row may not train."""
    return _cosine(fence(held))


def _cosine(close: float) -> float:
    """Of a squared distance; more than any cosine where that is -1."""
    return 1 - close / 2 - ROUNDING if close > 0 else np.inf


def cosines(rows: Array, held: Array) -> Array:
    """(n,) float32, the largest cosine of each row (n, dim) with a held-out one (m, dim).

    All pairs are compared: that costs less than to sort out first which need not be.
    """
    found = np.zeros(len(rows), np.float32)
    others = unit(held.astype(np.float32))
    step = _step(len(others))
    for i in range(0, len(rows) if len(others) else 0, step):
        some = unit(rows[i : i + step].astype(np.float32))
        found[i : i + step] = (some @ others.T).max(axis=1)
    return found


def _step(others: int) -> int:
    """How many rows are compared with so many others at once."""
    return max(1, min(AT_A_TIME, AT_ONCE // max(1, others)))


def fenced(rows: ReservoirRows, sets: Array) -> dict[str, Array]:
    """Reason -> which rows (n,) that may train are kept out for it. sets: (n,) as in a manifest."""
    able, held = sets == TRAIN, np.flatnonzero(sets > TRAIN)
    same = able & among(rows.words, rows.words[held])
    keys = rows.table.select(["timestamp", "row_id"]).take(held)
    order = pc.sort_indices(keys, [("timestamp", "ascending"), ("row_id", "ascending")])
    near = able & ~same & _near(rows, held[order.to_numpy()], lambda v: least(v.matrix))
    return {"same_words": same, "near_copy": near}


def _near(rows: ReservoirRows, held: Array, limit: Callable[[Vectors], float]) -> Array:
    """(n,) which rows have a cosine of `limit` or more with one that lies at `held`."""
    found = np.zeros(len(rows.table), bool)
    theirs = {space: (v.matrix, limit(v)) for space, v in rows.vectors(held).items()}
    for part in rows.parts:
        if part.space in theirs:
            matrix, least_cosine = theirs[part.space]
            found[part.places] = cosines(part.matrix, matrix) >= least_cosine
    return found


@dataclass(frozen=True)
class Leak:
    """Places of a row that trains and of one that evaluates, and why they should not be both."""

    row: int
    held: int
    why: str


class Fence:
    """Many versions of the same rows at once: two rows are compared once, however many have both."""

    def __init__(self, rows: ReservoirRows, versions: Iterable[tuple[Array, Array]]) -> None:
        """versions: of each, the places that train and those that evaluate."""
        train, held = np.zeros((2, len(rows.table)), bool)
        widest: dict[Space, float] = {}
        for trains, tests in versions:
            train[trains], held[tests] = True, True
            for space, theirs in rows.vectors(tests).items():
                widest[space] = max(widest.get(space, -1.0), fence(theirs.matrix))
        self.rows = rows
        limit = lambda v: _cosine(widest[v.space])  # noqa: E731
        self.suspects = train & _near(rows, np.flatnonzero(held), limit)

    def leaks(self, train: Array, held: Array) -> list[Leak]:
        """Every row that trains in one of the versions and should not, once. train, held: places."""
        suspects = train[self.suspects[train]]
        found = [*self._of_words(train, held), *self._near_copies(suspects, held)]
        return list({leak.row: leak for leak in reversed(found)}.values())[::-1]

    def _of_words(self, train: Array, held: Array) -> Iterator[Leak]:
        words = self.rows.words
        same = dict(zip(words[held].tolist(), held.tolist(), strict=True))
        for at in train[among(words[train], words[held])].tolist():
            yield Leak(at, same[int(words[at])], "has the words of")

    def _near_copies(self, suspects: Array, held: Array) -> Iterator[Leak]:
        theirs = self.rows.vectors(held) if len(suspects) else {}
        for space, some in self.rows.vectors(suspects).items():
            if space not in theirs:
                continue
            tests = unit(theirs[space].matrix.astype(np.float32))
            close = LESS * fence(tests)
            step = _step(len(tests))
            for i in range(0, len(some.matrix), step):
                ours = unit(some.matrix[i : i + step].astype(np.float32))
                nearest = (ours @ tests.T).argmax(axis=1)
                apart = ours - tests[nearest]
                able = ours.any(axis=1) & tests[nearest].any(axis=1)
                for k in np.flatnonzero(able & (np.vecdot(apart, apart) <= close)):
                    row, test = some.places[i + k], theirs[space].places[nearest[k]]
                    yield Leak(int(row), int(test), "is a near-copy of")


def check(rows: ReservoirRows, path: Path, locate: Locate) -> None:
    """Raises DatasetError where a row of the manifest at `path` trains that should not. rows: all of
    its partitions; locate: where these are."""
    manifest = Manifest.load(path)
    manifest.check(range(len(rows.counts)), rows.counts)
    places = (np.flatnonzero(manifest.sets == TRAIN), np.flatnonzero(manifest.sets > TRAIN))
    leaks = Fence(rows, [places]).leaks(*places)
    if leaks:
        raise DatasetError(
            f"training rows too near rows that evaluate: {len(leaks)}",
            where=str(path),
            got=in_words(leaks, locate, manifest.partitions, manifest.ends),
            expected="none: the fence keeps them out",
            do="tell us, it is a fault of Everloop; no version was made, and the labels are kept",
        )


def in_words(leaks: Sequence[Leak], locate: Locate, partitions: Sequence[str], ends: Array) -> str:
    """Which rows, the first of them by name. ends: the place after the last row of each partition."""

    def name(place: int) -> str:
        i = int(np.searchsorted(ends, place, side="right"))
        table = read_partition(locate(partitions[i]), ["row_id", "input"])
        row = table.slice(place - int(ends[i]) + len(table), 1).to_pylist()[0]
        return f'{row["row_id"]} "{excerpt(row["input"])}"'

    shown = [f"{name(x.row)} {x.why} {name(x.held)}" for x in leaks[:SHOWN]]
    more = [f"and {len(leaks) - SHOWN} more"] if len(leaks) > SHOWN else []
    return "; ".join([*shown, *more])
