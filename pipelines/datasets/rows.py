"""The rows of a reservoir, read once and kept in memory: what forming a dataset and its fence need.

A place is a row's number among all rows that were read, partition after partition. A million rows of
384 numbers take about 1 GiB. Inputs are not kept, only a hash of their words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.arrays import Array
from core.texts import words
from pipelines.datasets.partitions import Locate, scan

WORDS = "words"  # uint64, see `word_hashes`
FILES = 32  # whose texts are in memory at once
FEW = ("target", "kind", "set", "policy", "encoder")  # columns of few values, kept as dictionaries
COLUMNS = ("row_id", "timestamp", *FEW)
Space: TypeAlias = tuple[str, int]  # an encoder, and the bytes of its embeddings


@dataclass(frozen=True, eq=False)
class Vectors:
    """Some of the rows that one encoder read. Only rows of one space can be compared."""

    space: Space
    places: Array  # (k,)
    matrix: Array  # (k, dim) float16


@dataclass(frozen=True, eq=False)
class ReservoirRows:
    """table: COLUMNS and WORDS, in order of places. counts: rows of each partition."""

    table: pa.Table
    counts: Array
    parts: Sequence[Vectors]

    @property
    def words(self) -> Array:
        return np.asarray(self.table[WORDS].to_numpy())

    def vectors(self, places: Array) -> dict[Space, Vectors]:
        """The rows at these places by space, in their order. A row without an embedding is in none."""
        order = np.full(len(self.table), -1, np.int64)
        order[places] = np.arange(len(places))
        chosen: dict[Space, list[tuple[Array, Array]]] = {}
        for part in self.parts:
            here = order[part.places] >= 0
            if here.any():
                found = (order[part.places[here]], part.matrix[here])
                chosen.setdefault(part.space, []).append(found)
        return {space: _joined(space, found, places) for space, found in chosen.items()}


def read_rows(locate: Locate, partitions: Sequence[str]) -> ReservoirRows:
    """The rows of partitions, oldest first. Raises DatasetError that names a bad one."""
    tables, counts, parts, start = [], [np.zeros(0, np.int64)], list[Vectors](), 0
    for i in range(0, max(1, len(partitions)), FILES):
        found = scan(locate, partitions[i : i + FILES], [*COLUMNS, "input", "embedding"])
        tables.append(_without_vectors(found.table))
        counts.append(found.counts)
        parts += _vectors(found.table, start)
        start += len(found.table)
    return ReservoirRows(pa.concat_tables(tables).unify_dictionaries(), np.concatenate(counts), parts)


def word_hashes(texts: Iterable[str]) -> Array:
    """(n,) uint64, a hash of the words of each text."""
    raw = b"".join(hashlib.blake2b(words(t).encode(), digest_size=8).digest() for t in texts)
    return np.frombuffer(raw, np.uint64)


def _without_vectors(table: pa.Table) -> pa.Table:
    """COLUMNS and WORDS of rows."""
    kept = table.select(COLUMNS)
    for name in FEW:
        kept = kept.set_column(COLUMNS.index(name), name, table[name].dictionary_encode())
    kept = kept.append_column(WORDS, pa.array(word_hashes(table["input"].to_pylist())))
    return kept.combine_chunks()  # else each of a thousand files repeats its dictionaries


def _vectors(table: pa.Table, start: int) -> Iterator[Vectors]:
    """start: the place of the first row."""
    lengths = pc.binary_length(table["embedding"]).fill_null(0).to_numpy()
    space = pd.DataFrame({"encoder": table["encoder"].to_pandas(), "length": lengths})
    space = space[(lengths > 0) & (lengths % 2 == 0)]
    for (encoder, length), at in space.groupby(["encoder", "length"]).groups.items():
        raw = table["embedding"].take(at.to_numpy()).cast(pa.binary(int(length))).combine_chunks()
        matrix = np.frombuffer(raw.buffers()[1], np.float16).reshape(len(at), -1)
        yield Vectors((encoder, length), start + at.to_numpy(), matrix)


def _joined(space: Space, found: Sequence[tuple[Array, Array]], places: Array) -> Vectors:
    """Of parts, each with the positions of its rows among `places`."""
    at = np.concatenate([positions for positions, _ in found])
    back = np.argsort(at)
    return Vectors(space, places[at[back]], np.concatenate([m for _, m in found])[back])
