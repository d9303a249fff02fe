"""How near each row is to one that evaluates, kept from one version to the next.

.everloop/light/nearest.npz: `held`, hashes of the embeddings that rows were compared with; and for each
full block, by its hash, the largest cosine of each of its rows. A version that evaluates on more rows
compares with those alone; one that evaluates on fewer begins anew. It is only a copy, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from core.files import whole_file
from core.records import Array
from pipelines.datasets.fence import by_encoder, cosines
from pipelines.datasets.light import Block, Light
from pipelines.datasets.partitions import among

FILE = "nearest.npz"
Held = Mapping[str, Array]  # encoder -> embeddings (k, dim)


def nearest(found: Light, held: Held, folder: Path) -> Array:
    """(rows,) float32, the largest cosine of each row with a held-out one of its encoder; 0 where there
    is none, or no larger one."""
    kept = _load(folder / FILE)
    asked = {name: _marks(name, rows) for name, rows in held.items()}
    every = np.unique(np.concatenate([np.zeros(0, np.uint64), *asked.values()]))
    known = kept.get("held", every[:0])
    if not among(known, every).all():
        kept, known = {}, every[:0]
    more = {name: rows[~among(asked[name], known)] for name, rows in held.items()}
    values, full = [], {}
    for block in found.blocks:
        name = block.copy.stem if block.copy else ""
        before = kept.get(name)
        if before is None or len(before) != block.rows:
            values.append(_cosines(block, held))
        else:
            values.append(np.maximum(before, _cosines(block, more)))
        if name:
            full[name] = values[-1]
    if full and (full.keys() != kept.keys() - {"held"} or len(known) != len(every)):
        _save(folder / FILE, {**full, "held": every})
    return np.concatenate(values)


def _cosines(block: Block, held: Held) -> Array:
    found = np.zeros(block.rows, np.float32)
    if any(len(rows) for rows in held.values()):
        for name, (at, rows) in by_encoder(block.read(["encoder", "embedding"])).items():
            others = held.get(name, rows[:0])
            if rows.shape[1] == others.shape[1]:
                found[at] = cosines(rows, others)
    return found


def _marks(encoder: str, rows: Array) -> Array:
    """(k,) uint64, a hash of each embedding and whose it is."""
    raw = (hashlib.blake2b(encoder.encode() + row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(b"".join(raw), np.uint64)


def _load(path: Path) -> dict[str, Array]:
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return {}


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with whole_file(path, durable=False) as half, half.open("wb") as file:
        np.savez(file, **arrays)
