"""Embeddings of texts that were never served, and samples of those of past traffic."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import delete, select

from core import schema
from core.arrays import Array
from core.database import Database, among, insert_new, upsert
from core.records.signals import TrafficSample
from core.store.state import count

HISTORY_DAYS = 42  # of samples


@dataclass
class EmbeddingRepository:
    """A text is read by an encoder once. Samples of past traffic keep some embeddings of each window,
    so that weeks are not read again: at most 400 kB a day at 384 dimensions. They go with the
    predictions they were drawn from."""

    database: Database

    def of(
        self, texts: Sequence[str], encoder: str, read: Callable[[list[str]], Array], purpose: str
    ) -> Array:
        """Embeddings (n, dim) float32 of texts, each read by the encoder once in the store's life.

        `purpose` names who asked, in the counters of encoder passes: initial and testing bring texts,
        new ones unless another encoder has read them; `reread` reads served and first texts again.
        """
        hashes = [text_hash(t) for t in texts]
        found = self._embeddings(hashes, encoder)
        missing = {h: t for h, t in zip(hashes, texts, strict=True) if h not in found}
        if missing:
            fresh = np.asarray(read(list(missing.values())), dtype=np.float16)
            rows = [
                {"text_hash": h, "encoder": encoder, "embedding": e.tobytes()}
                for h, e in zip(missing, fresh, strict=True)
            ]
            t = schema.embeddings.c.text_hash
            with self.database.write() as db:
                known = among(db, select(t).distinct(), t, missing)
                insert_new(db, schema.embeddings, rows)
                new = len(rows) - len(known) if purpose != "reread" else 0
                count(db, {f"encoder_passes.{purpose}": len(rows), f"texts.{purpose}": new})
            found.update(zip(missing, fresh, strict=True))
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        return np.stack([found[h] for h in hashes]).astype(np.float32)

    def _embeddings(self, hashes: Sequence[str], encoder: str) -> dict[str, Array]:
        t = schema.embeddings
        query = select(t.c.text_hash, t.c.embedding).where(t.c.encoder == encoder)
        rows = self.database.among(query, t.c.text_hash, hashes)
        return {name: np.frombuffer(raw, dtype=np.float16) for name, raw in rows}

    def samples(self, encoder: str, before: datetime) -> list[TrafficSample]:
        """Those of traffic that ended before a time or at it, oldest first."""
        t = schema.samples
        query = select(t).where(t.c.encoder == encoder, t.c.end <= before).order_by(t.c.end)
        found = []
        for r in self.database.records(query, TrafficSample):
            raw = bytes(r.embeddings)  # how many numbers a row has, then the rows
            dim = np.frombuffer(raw, dtype=np.int32, count=1)[0]
            rows = np.frombuffer(raw[4:], dtype=np.float16).reshape(-1, dim)
            found.append(replace(r, embeddings=rows))
        return found

    def put_samples(self, samples: Sequence[TrafficSample]) -> None:
        """Writing one again replaces it, one that overlaps another is left out (windows may be
        looked at more often than they end), and those of HISTORY_DAYS ago go."""
        if not samples:
            return
        t = schema.samples
        rows = [{**vars(s), "embeddings": _packed(s.embeddings)} for s in samples]
        oldest = max(s.end for s in samples) - timedelta(days=HISTORY_DAYS)
        with self.database.write() as db:
            upsert(db, t, [r for r in rows if not db.execute(_overlaps(r)).first()])
            db.execute(delete(t).where(t.c.end < oldest))


def text_hash(text: str) -> str:
    """The 128-bit name of a text in caches and fences.

    >>> text_hash("hello")
    '46fb7408d4f285228f4af516ea25851b'
    """
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _packed(rows: Array) -> bytes:
    return np.int32(rows.shape[1]).tobytes() + rows.astype(np.float16).tobytes()


def _overlaps(row: dict[str, Any]) -> Any:
    t = schema.samples
    return select(t.c.end).where(
        t.c.encoder == row["encoder"],
        t.c.start < row["end"],
        t.c.end > row["start"],
        t.c.end != row["end"],
    )
