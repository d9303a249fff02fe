"""Some embeddings of the rows that the newest dataset trains on: what a new topic must be unlike.

The dataset grows with every retrain and is read once for each; what was drawn of it is kept beside the
store, a few MiB, until the next.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from core.arrays import Array
from core.files import whole_file
from core.workspace import Workspace
from pipelines.datasets.contents import rows_here
from pipelines.datasets.layout import MANIFEST

MOST = 5_000  # rows


def learnt(place: Workspace, encoder: str) -> Array | None:
    """(k, dim) float32, k <= MOST, evenly drawn from the training rows that this encoder has read; None
    where there is none."""
    page = place.dataset / MANIFEST
    if not page.is_file():
        return None
    seen = page.stat()
    name = f"{seen.st_size}/{seen.st_mtime_ns}/{encoder}"
    kept = place.state / f"learnt-{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.npy"
    rows = np.load(kept) if kept.is_file() else _drawn(place, encoder)
    if not kept.is_file():
        _keep(kept, rows)
    return rows.astype(np.float32) if len(rows) else None


def _drawn(place: Workspace, encoder: str) -> Array:
    """(k, dim) float16."""
    rows = rows_here(place, columns=["row_id", "embedding", "encoder"])
    mine = rows.loc[rows["encoder"] == encoder, "embedding"]
    few = mine.iloc[:: max(1, -(-len(mine) // MOST))]
    return np.stack([np.frombuffer(e, dtype=np.float16) for e in few]) if len(few) else np.zeros((0, 0))


def _keep(kept: Path, rows: Array) -> None:
    with whole_file(kept, durable=False) as half, half.open("wb") as file:
        np.save(file, rows)
    for old in kept.parent.glob("learnt-*.npy"):
        if old != kept:
            old.unlink(missing_ok=True)
