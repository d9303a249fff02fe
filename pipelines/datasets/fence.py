"""The fence: no row that evaluates, nor a near-copy of one, trains.

Two rows are near-copies when they have the same words, or when embeddings of one encoder lie closer
than `core.near.fence` says, which curation keeps to as well. Embeddings of two encoders cannot be
compared; between those the words decide.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from core.near import fence, mapped, near_any, unit
from core.records import Array
from core.rowwise import AT_A_TIME
from core.texts import words
from pipelines.datasets.partitions import among

ROUNDING = 1e-6  # of a cosine


def same_words(rows: pd.Series[str], held: pd.Series[str]) -> Array:
    """(n,) which texts have the words of one that is held out."""
    return among(rows.map(words), held.map(words))


def near_copies(rows: pa.Table, held: pa.Table) -> Array:
    """(n,) which rows (encoder, embedding) lie beside one that is held out.

    All pairs are compared. 18,000 rows beside 2,300 are 0.4 s of one core: less than to sort out first
    which pairs need not be, and there is nothing to keep from one version to the next.
    """
    found = np.zeros(len(rows), bool)
    for here, ours, theirs in _by_encoder(rows, held):
        close = fence(theirs)
        others = unit(theirs.astype(np.float32))
        others = others[others.any(axis=1)]
        if close <= 0 or not len(others):
            continue
        least = 1 - close / 2 - ROUNDING  # a cosine
        for i in range(0, len(ours), AT_A_TIME):
            some = unit(ours[i : i + AT_A_TIME].astype(np.float32))
            found[here[i : i + AT_A_TIME]] = (some @ others.T).max(axis=1) >= least
    return found


def leaks(rows: pd.DataFrame, held: pd.DataFrame) -> int:
    """How many rows (text, encoder, embedding) the fence should have kept out of training, found by
    other arithmetic than near_copies has: distances between the places of curation's map."""
    beside = same_words(rows["text"], held["text"])
    tables = [
        pa.Table.from_pandas(t[["encoder", "embedding"]], preserve_index=False) for t in (rows, held)
    ]
    for here, ours, theirs in _by_encoder(*tables):
        map_ = mapped(theirs)
        where = map_.places(ours), map_.places(theirs)
        beside[here] |= near_any(ours, theirs, where, fence(theirs))
    return int(beside.sum())


def _by_encoder(rows: pa.Table, held: pa.Table) -> Iterator[tuple[Array, Array, Array]]:
    """For each encoder that read some of both: which rows, their embeddings, and those held out."""
    read = [t["encoder"].to_pandas() for t in (rows, held)]
    for name in sorted(set(read[0].dropna()) & set(read[1].dropna())):
        parts = [np.flatnonzero(r == name) for r in read]
        ours, theirs = (_matrix(t["embedding"], at) for t, at in zip((rows, held), parts, strict=True))
        if ours.shape[1] == theirs.shape[1] > 0:
            yield parts[0], ours, theirs


def _matrix(column: pa.ChunkedArray, at: Array) -> Array:
    """(k, dim) float16 of the rows at these positions; a row without one, or of a strange length, is
    zeros, which are near nothing."""
    raw = column.take(pa.array(at)).combine_chunks()
    values = raw.chunk(0) if isinstance(raw, pa.ChunkedArray) else raw
    stored = values.to_pylist()
    length = len(next((e for e in stored if e), b""))
    blank = bytes(length)
    whole = b"".join(e if e is not None and len(e) == length else blank for e in stored)
    return np.frombuffer(whole, np.float16).reshape(len(stored), length // 2)
