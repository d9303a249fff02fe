"""Samples of past traffic: some embeddings of each window, so that weeks are not read again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import delete, select

from core import schema
from core.database import Database
from core.records import Sample

HISTORY_DAYS = 42


class Samples(Database):
    """At most 400 kB a day at 384 dimensions; they go with the predictions they were drawn from."""

    def samples(self, encoder: str, before: datetime) -> list[Sample]:
        """Those of traffic that ended before a time or at it, oldest first."""
        t = schema.samples
        query = select(t).where(t.c.encoder == encoder, t.c.end <= before).order_by(t.c.end)
        with self._read() as db:
            rows = db.execute(query).mappings().all()
        found = []
        for r in rows:
            dim, raw = np.frombuffer(r["embeddings"], dtype=np.int32, count=1)[0], r["embeddings"][4:]
            embeddings = np.frombuffer(raw, dtype=np.float16).reshape(-1, dim)
            found.append(Sample(r["encoder"], r["start"], r["end"], r["rows"], embeddings))
        return found

    def put_samples(self, samples: Sequence[Sample]) -> None:
        """Writing one again replaces it, one that overlaps another is left out (windows may be
        looked at more often than they end), and those of HISTORY_DAYS ago go."""
        if not samples:
            return
        t = schema.samples
        rows = [
            {
                "encoder": s.encoder,
                "start": s.start,
                "end": s.end,
                "rows": s.rows,
                "embeddings": np.int32(s.embeddings.shape[1]).tobytes()
                + s.embeddings.astype(np.float16).tobytes(),
            }
            for s in samples
        ]
        oldest = max(s.end for s in samples) - timedelta(days=HISTORY_DAYS)
        with self._write() as db:
            self._replace(db, t, [r for r in rows if not db.execute(_overlaps(r)).first()])
            db.execute(delete(t).where(t.c.end < oldest))


def _overlaps(row: dict[str, Any]) -> Any:
    t = schema.samples
    return select(t.c.end).where(
        t.c.encoder == row["encoder"],
        t.c.start < row["end"],
        t.c.end > row["start"],
        t.c.end != row["end"],
    )
