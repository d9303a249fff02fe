"""Forgetting rows: tombstones first, so that whoever is killed half-way can go on; then everything
that was said of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import Connection, delete, select, update

from core import schema
from core.database import parts
from core.store.embeddings import text_hash
from core.store.state import State
from core.texts import normal

Asked = Literal["user", "prediction", "text"]
SAID = (
    schema.feedback,
    schema.tasks,
    schema.annotations,
    schema.relabelled,
    schema.weak_labels,
    schema.votes,
    schema.unconfirmed,
    schema.leases,
    schema.reviews,
)
_P, _T = schema.predictions, schema.tombstones


class Forgetting(State):
    """Removes rows at a person's wish; what is merely old is retired (see `Retention`)."""

    def matching(self, asked: Asked, value: str) -> dict[str, str]:
        """The predictions that a wish means, with the other answers to the same requests: id -> text.

        user: the key as stored. text: the same by `core.texts.normal`. By user and by text the whole
        log is read: no request pays for an index that an erasure a month would use.
        """
        if asked == "prediction":
            request = select(_P.c.request_id).where(_P.c.prediction_id == value)
            query = select(_P.c.prediction_id, _P.c.text).where(_P.c.request_id.in_(request))
        else:
            query = select(_P.c.prediction_id, _P.c.text)
            query = query.where(_P.c.user_key == value) if asked == "user" else query
        wanted = normal(value) if asked == "text" else ""
        with self._read() as db:
            rows = db.execute(query.execution_options(yield_per=10_000))
            return {str(i): str(t) for i, t in rows if asked != "text" or normal(t) == wanted}

    def texts_of(self, row_ids: Iterable[str]) -> dict[str, str]:
        """The texts of these predictions, as far as the log has them."""
        found: dict[str, str] = {}
        with self._read() as db:
            for part in parts(row_ids):
                query = select(_P.c.prediction_id, _P.c.text).where(_P.c.prediction_id.in_(part))
                found |= {str(i): str(t) for i, t in db.execute(query)}
        return found

    def bury(self, row_ids: Sequence[str], asked: Asked, now: datetime) -> None:
        """Note that these are to be forgotten. One that was noted before stays as it is."""
        rows = [{"row_id": i, "timestamp": now, "asked": asked, "done": False} for i in row_ids]
        with self._write() as db:
            self._insert(db, _T, rows)
            for part in parts(row_ids):  # a row that came back is forgotten again
                db.execute(update(_T).where(_T.c.row_id.in_(part)).values(done=False))

    def to_forget(self) -> list[str]:
        """Rows whose forgetting was begun and is not done."""
        query = select(_T.c.row_id).where(~_T.c.done).order_by(_T.c.row_id)
        with self._read() as db:
            return list(db.execute(query).scalars())

    def erase(self, row_ids: Sequence[str], texts: Iterable[str]) -> None:
        """Delete rows and what was said of them, and the cached embeddings of `texts`. Counts by hour
        and by model name nobody and stay."""
        for part in parts(row_ids):
            with self._write() as db:
                columns = (_P.c.text, _P.c.request_id, _P.c.timestamp, _P.c.embedding)
                rows = db.execute(select(*columns).where(_P.c.prediction_id.in_(part))).all()
                for row in rows:
                    _unsample(db, row.timestamp, row.embedding)
                _drop_embeddings(db, [r.text for r in rows])
                asked = schema.quarantine.c.request_id
                db.execute(delete(schema.quarantine).where(asked.in_([r.request_id for r in rows])))
                for table in (*SAID, _P):
                    db.execute(delete(table).where(table.c.prediction_id.in_(part)))
        with self._write() as db:
            _drop_embeddings(db, texts)

    def forgotten(self, row_ids: Sequence[str]) -> None:
        """All of it is done. SQLite's log of pages is emptied too: it holds what was deleted."""
        with self._write() as db:
            for part in parts(row_ids):
                db.execute(update(_T).where(_T.c.row_id.in_(part)).values(done=True))
        if self._engine.dialect.name == "sqlite":
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.close()

    def mentions(self, texts: Sequence[str]) -> int:
        """Decisions whose evidence quotes one of these texts."""
        d = schema.decisions.c
        with self._read() as db:
            return sum(
                any(text in found for text in texts)
                for (evidence,) in db.execute(select(d.evidence))
                for found in [_strings(evidence)]
            )


def _strings(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {s for v in value.values() for s in _strings(v)}
    if isinstance(value, list):
        return {s for v in value for s in _strings(v)}
    return {value} if isinstance(value, str) else set()


def _drop_embeddings(db: Connection, texts: Iterable[str]) -> None:
    for part in parts(map(text_hash, texts)):
        db.execute(delete(schema.embeddings).where(schema.embeddings.c.text_hash.in_(part)))


def _unsample(db: Connection, when: datetime, embedding: bytes | None) -> None:
    """Take the row's vector out of the samples of past windows."""
    s = schema.samples
    if not embedding:
        return
    found = db.execute(select(s).where(s.c.start <= when, s.c.end > when)).all()
    for row in found:
        dim = int(np.frombuffer(row.embeddings, np.int32, count=1)[0])
        if len(embedding) != 2 * dim:
            continue  # of another encoder
        vectors = np.frombuffer(row.embeddings[4:], np.uint8).reshape(-1, len(embedding))
        kept = vectors[(vectors != np.frombuffer(embedding, np.uint8)).any(axis=1)]
        if len(kept) < len(vectors):
            this = (s.c.encoder == row.encoder) & (s.c.end == row.end)
            left = row.embeddings[:4] + kept.tobytes()
            db.execute(update(s).where(this).values(embeddings=left))
