"""Some embeddings of the rows that the newest dataset trains on: what a new topic must be unlike.

The dataset grows with every retrain and is read once for each; what was drawn of it is kept beside the
store, a few MiB, until the next.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from core.records import Array
from core.workspace import Workspace

MOST = 5_000  # rows


def learnt(place: Workspace, encoder: str) -> Array | None:
    """(k, dim) float32, k <= MOST, evenly drawn from the training rows that this encoder has read; None
    where there is none."""
    page = place.dataset / "train.parquet"
    if not page.is_file():
        return None
    seen = page.stat()
    name = f"{seen.st_size}/{seen.st_mtime_ns}/{encoder}"
    kept = place.state / f"learnt-{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.npy"
    rows = np.load(kept) if kept.is_file() else _drawn(page, encoder)
    if not kept.is_file():
        _keep(kept, rows)
    return rows.astype(np.float32) if len(rows) else None


def _drawn(page: Path, encoder: str) -> Array:
    """(k, dim) float16, read part by part, so that the memory is that of what is drawn."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(page) as file:
        mine = pc.equal(file.read(["encoder"])["encoder"], encoder).to_numpy()
        places = np.flatnonzero(mine)
        places = places[:: max(1, -(-len(places) // MOST))]
        found, start = [], 0
        for batch in file.iter_batches(columns=["embedding"]):
            here = places[(places >= start) & (places < start + len(batch))] - start
            found += batch.column(0).take(here).to_pylist()
            start += len(batch)
    return np.stack([np.frombuffer(e, dtype=np.float16) for e in found]) if found else np.zeros((0, 0))


def _keep(kept: Path, rows: Array) -> None:
    unfinished = kept.with_name(f".{kept.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        np.save(file, rows)
    os.replace(unfinished, kept)
    for old in kept.parent.glob("learnt-*.npy"):
        if old != kept:
            old.unlink(missing_ok=True)
