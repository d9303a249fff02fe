"""The fence: no row that evaluates, nor a near-copy of one, trains.

Two rows are near-copies when they have the same words, or when embeddings of one encoder lie closer
than `core.near.fence` says, which curation keeps to as well. Embeddings of two encoders cannot be
compared; between those the words decide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from core.near import fence, unit
from core.records import Array
from core.rowwise import AT_A_TIME
from core.texts import words
from pipelines.datasets.partitions import among

ROUNDING = 1e-6  # of a cosine


def marks(texts: Iterable[str]) -> Array:
    """(n,) uint64, a hash of the words of each text."""
    raw = b"".join(hashlib.blake2b(words(t).encode(), digest_size=8).digest() for t in texts)
    return np.frombuffer(raw, np.uint64)


def same_words(rows: pd.Series[str], held: pd.Series[str]) -> Array:
    """(n,) which texts have the words of one that is held out."""
    return among(rows.map(words), held.map(words))


def near_copies(rows: pa.Table, held: pa.Table) -> Array:
    """(n,) which rows (encoder, embedding) lie beside one that is held out.

    All pairs are compared. 18,000 rows beside 2,300 are 0.4 s of one core: less than to sort out first
    which pairs need not be, and there is nothing to keep from one version to the next.
    """
    found, ours = np.zeros(len(rows), bool), by_encoder(rows)
    for name, (_, theirs) in by_encoder(held).items():
        here, mine = ours.get(name, (None, theirs[:0]))
        close = fence(theirs)
        others = unit(theirs.astype(np.float32))
        others = others[others.any(axis=1)]
        if here is None or close <= 0 or not len(others) or mine.shape[1] != theirs.shape[1]:
            continue
        least = 1 - close / 2 - ROUNDING  # a cosine
        for i in range(0, len(mine), AT_A_TIME):
            some = unit(mine[i : i + AT_A_TIME].astype(np.float32))
            found[here[i : i + AT_A_TIME]] = (some @ others.T).max(axis=1) >= least
    return found


def by_encoder(rows: pa.Table) -> dict[str, tuple[Array, Array]]:
    """Encoder -> positions of the rows (encoder, embedding) that it read, and what it made of them,
    (k, dim) float16."""
    read = rows["encoder"].to_pandas()
    parts = {str(name): np.flatnonzero(read == name) for name in sorted(set(read.dropna()))}
    return {name: (at, _matrix(rows["embedding"], at)) for name, at in parts.items()}


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
