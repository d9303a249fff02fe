"""The fence: no row that evaluates, nor a near-copy of one, trains.

Two rows are near-copies when they have the same words, or when embeddings of one encoder lie closer
than `core.near.fence` says, which curation keeps to as well. Embeddings of two encoders cannot be
compared; between those the words decide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from core.near import fence, unit
from core.records import Array
from core.rowwise import AT_A_TIME
from core.texts import words
from pipelines.datasets.partitions import of_one_width

ROUNDING = 1e-6  # of a cosine
AT_ONCE = 1 << 24  # cosines that are in memory


def marks(texts: Iterable[str]) -> Array:
    """(n,) uint64, a hash of the words of each text."""
    raw = b"".join(hashlib.blake2b(words(t).encode(), digest_size=8).digest() for t in texts)
    return np.frombuffer(raw, np.uint64)


def least(held: Array) -> float:
    """The cosine with a held-out row (m, dim) from which on a row may not train."""
    close = fence(held)
    return 1 - close / 2 - ROUNDING if close > 0 else np.inf


def cosines(rows: Array, held: Array) -> Array:
    """(n,) float32, the largest cosine of each row (n, dim) with a held-out one (m, dim).

    All pairs are compared: that costs less than to sort out first which need not be.
    """
    found = np.zeros(len(rows), np.float32)
    others = unit(held.astype(np.float32))
    step = max(1, min(AT_A_TIME, AT_ONCE // max(1, len(others))))
    for i in range(0, len(rows) if len(others) else 0, step):
        some = unit(rows[i : i + step].astype(np.float32))
        found[i : i + step] = (some @ others.T).max(axis=1)
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
    values = column.take(at).combine_chunks()
    raw = of_one_width(values)
    if raw is not None and raw.shape[1] % 2 == 0:
        return raw.view(np.float16)
    stored = values.to_pylist()
    length = len(next((e for e in stored if e), b""))
    blank = bytes(length)
    whole = b"".join(e if e is not None and len(e) == length else blank for e in stored)
    return np.frombuffer(whole, np.float16).reshape(len(stored), length // 2)
