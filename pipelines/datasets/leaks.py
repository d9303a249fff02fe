"""Does anything train that the fence should have kept out? Asked of a manifest, whatever formed it.

By other arithmetic than forming has: it multiplies embeddings, here they are subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from core.errors import DatasetError
from core.near import fence, unit
from core.readers import excerpt
from core.records import Array
from core.rowwise import AT_A_TIME
from core.workspace import Workspace
from pipelines.datasets.fence import by_encoder
from pipelines.datasets.layout import MANIFEST
from pipelines.datasets.light import WORDS, light
from pipelines.datasets.manifest import TRAIN, Manifest
from pipelines.datasets.partitions import among, in_folder, read_partition

LESS = 0.99  # of the fence's distance: two machines may round it apart
ROUNDING = 1e-3  # of squared distances that are products
AT_ONCE = 1 << 24  # pairs whose products are in memory
SHOWN = 5
Vectors = dict[str, tuple[Array, Array]]  # encoder -> which of the rows it read, unit rows (k, dim)
Read = Callable[[Array], Vectors]  # of the rows at these positions


@dataclass(frozen=True)
class Leak:
    """Positions of a row that trains and of one that evaluates, and why they should not be both."""

    row: int
    held: int
    why: str


def leaks(sets: Array, words: Array, read: Read, known: Array) -> list[Leak]:
    """Every row that trains and should not, once.

    sets: (n,) as in a manifest. words: (n,) equal where two texts have the same words. known: (n,) the
    sets of a version that was checked before, 0 for what it did not have: the embeddings of a row that
    trained then and one that evaluated then are not compared again.
    """
    train, held = np.flatnonzero(sets == TRAIN), np.flatnonzero(sets > TRAIN)
    found = of_words(words, train, held)
    is_new = known[train] != TRAIN
    more = known[held] <= TRAIN  # evaluates since
    for name, (there, theirs) in read(held).items():
        close, since = LESS * fence(theirs), more[there]
        for at, other in ((train[is_new], slice(None)), (train[~is_new], since)):
            tests, rows = held[there][other], theirs[other]
            for i in range(0, len(at) if len(tests) else 0, AT_A_TIME):
                here, ours = read(at[i : i + AT_A_TIME]).get(name, (at[:0], theirs[:0]))
                pairs, _ = near_pairs(ours, rows, close)
                found += near_copies(at[i + here[pairs[:, 0]]], tests[pairs[:, 1]])
    return one_each(found)


def near_copies(rows: Array, held: Array) -> list[Leak]:
    return [Leak(int(a), int(b), "is a near-copy of") for a, b in zip(rows, held, strict=True)]


def one_each(found: Sequence[Leak]) -> list[Leak]:
    """The first leak of each row."""
    return list({leak.row: leak for leak in reversed(found)}.values())[::-1]


def of_words(words: Array, train: Array, held: Array) -> list[Leak]:
    """Rows at `train` with the words of one at `held`."""
    same = dict(zip(words[held].tolist(), held.tolist(), strict=True))
    at = train[among(words[train], words[held])]
    return [Leak(int(i), same[int(words[i])], "has the words of") for i in at]


def vectors(rows: pa.Table) -> Vectors:
    """Of rows (encoder, embedding)."""
    return {name: (at, unit(m.astype(np.float32))) for name, (at, m) in by_encoder(rows).items()}


def near_pairs(rows: Array, held: Array, close: float) -> tuple[Array, Array]:
    """(p, 2) positions and (p,) squared distances of unit rows (n, dim) and (m, dim) that lie within
    `close` of each other; a row without a length is near nothing."""
    pairs, squares = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    step = max(1, AT_ONCE // max(1, len(held)))
    comparable = rows.shape[1] == held.shape[1] and close > 0
    for i in range(0, len(rows) if comparable else 0, step):
        some = rows[i : i + step]
        found = np.argwhere(some @ held.T >= 1 - (close + ROUNDING) / 2)  # a fence is far below 2
        apart = some[found[:, 0]] - held[found[:, 1]]
        square = np.vecdot(apart, apart)
        pairs.append(found[square <= close] + [i, 0])
        squares.append(square[square <= close])
    return np.concatenate(pairs), np.concatenate(squares)


def check(place: Workspace, before: Manifest | None) -> None:
    """Raises DatasetError where a row of the manifest in the folder trains that should not. before: the
    manifest of its parent, which was checked then."""
    path = place.dataset / MANIFEST
    manifest = Manifest.load(path)
    found = light(place, manifest.partitions)
    manifest.check(range(len(found.counts)), found.counts)
    words = found.read([WORDS])[WORDS].to_numpy()
    known = _known(manifest, before)
    leaked = leaks(manifest.sets, words, lambda at: vectors(found.vectors(at)), known)
    if leaked:
        raise DatasetError(
            f"training rows too near rows that evaluate: {len(leaked)}",
            where=str(path),
            got=in_words(leaked, lambda at: _name(place, manifest, at)),
            expected="none: the fence keeps them out",
            do="tell us, it is a fault of Everloop; no version was made, and the labels are kept",
        )


def _name(place: Workspace, manifest: Manifest, at: int) -> str:
    i = int(np.searchsorted(manifest.ends, at, side="right"))
    table = read_partition(in_folder(place.reservoir)(manifest.partitions[i]), ["row_id", "text"])
    return named(**table.slice(at - (manifest.ends[i] - manifest.counts[i]), 1).to_pylist()[0])


def _known(manifest: Manifest, before: Manifest | None) -> Array:
    """(rows,) the sets of an earlier manifest, as far as this one goes on from it."""
    sets = np.zeros(len(manifest.sets), np.uint8)
    k = len(before.partitions) if before else 0
    same = before and manifest.partitions[:k] == before.partitions
    if before and same and np.array_equal(manifest.counts[:k], before.counts):
        sets[: len(before.sets)] = before.sets
    return sets


def in_words(found: Sequence[Leak], name: Callable[[int], str]) -> str:
    """Which rows, the first of them by name."""
    shown = [f"{name(x.row)} {x.why} {name(x.held)}" for x in found[:SHOWN]]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "; ".join([*shown, *more])


def named(row_id: str, text: str) -> str:
    return f'{row_id} "{excerpt(text)}"'
