"""Rows that leave the store: those that a person wants forgotten, and those older than they may be.

Forgetting writes tombstones first, so that whoever is killed half-way can go on; then everything that
was said of a row goes. What is merely old is retired in small transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from core import schema
from core.database import Database, insert_new, parts
from core.store.details import TABLES
from core.store.embeddings import text_hash
from core.store.state import read_state, write_state
from core.stored import Remembered
from core.texts import normal

Prompted = Literal["user", "prediction", "text"]
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
    schema.scores,
    *TABLES,
)
ROWS_AT_A_TIME = 500
_P, _T = schema.predictions, schema.tombstones


@dataclass(frozen=True)
class Retired(Remembered):
    KEY, BARE = "retention", True

    rows: dict[str, int] = field(default_factory=dict)  # of the newest clearing, under its name


@dataclass
class ErasureRepository:
    """Deletes rows from the tables of all subjects at once."""

    database: Database

    def matching(self, asked: Prompted, value: str) -> dict[str, str]:
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
        with self.database.read() as db:
            rows = db.execute(query.execution_options(yield_per=10_000))
            return {str(i): str(t) for i, t in rows if asked != "text" or normal(t) == wanted}

    def bury(self, row_ids: Sequence[str], asked: Prompted, now: datetime) -> None:
        """Note that these are to be forgotten. One that was noted before stays as it is."""
        rows = [{"row_id": i, "timestamp": now, "asked": asked, "done": False} for i in row_ids]
        with self.database.write() as db:
            insert_new(db, _T, rows)
            for part in parts(row_ids):  # a row that came back is forgotten again
                db.execute(update(_T).where(_T.c.row_id.in_(part)).values(done=False))

    def to_forget(self) -> list[str]:
        """Rows whose forgetting was begun and is not done."""
        query = select(_T.c.row_id).where(~_T.c.done).order_by(_T.c.row_id)
        return self.database.column(query)

    def erase(self, row_ids: Sequence[str], texts: Iterable[str]) -> None:
        """Delete rows and what was said of them, and what is kept of `texts`. Counts by hour
        and by model name nobody and stay."""
        for part in parts(row_ids):
            with self.database.write() as db:
                columns = (_P.c.text, _P.c.request_id, _P.c.timestamp, _P.c.embedding)
                rows = db.execute(select(*columns).where(_P.c.prediction_id.in_(part))).all()
                for row in rows:
                    _unsample(db, row.timestamp, row.embedding)
                _drop_texts(db, [text_hash(r.text) for r in rows])
                asked = schema.quarantine.c.request_id
                db.execute(delete(schema.quarantine).where(asked.in_([r.request_id for r in rows])))
                for table in (*SAID, _P):
                    db.execute(delete(table).where(table.c.prediction_id.in_(part)))
        with self.database.write() as db:
            _drop_texts(db, map(text_hash, texts))

    def forgotten(self, row_ids: Sequence[str]) -> None:
        """All of it is done. SQLite's log of pages is emptied too: it holds what was deleted."""
        with self.database.write() as db:
            for part in parts(row_ids):
                db.execute(update(_T).where(_T.c.row_id.in_(part)).values(done=True))
        self.database.empty_wal()

    def mentions(self, texts: Sequence[str]) -> int:
        """Decisions whose evidence quotes one of these texts."""
        d = schema.decisions.c
        with self.database.read() as db:
            return sum(
                any(text in found for text in texts)
                for (evidence,) in db.execute(select(d.evidence))
                for found in [_strings(evidence)]
            )

    def retire(self, before: datetime, turn: str) -> int:
        """Delete what was logged before a time, and return how many predictions that were.

        A prediction stays while a task waits for its label, or its label for a dataset. `turn` names
        this clearing: killed and called again under that name, it goes on and counts on.
        """
        while retire_some(self.database, before, turn):
            pass
        with self.database.write() as db:
            db.execute(delete(schema.profiles).where(schema.profiles.c.hour < before))
            for told in (schema.system, schema.quarantine):
                db.execute(delete(told).where(told.c.timestamp < before))
            db.execute(delete(schema.samples).where(schema.samples.c.start < before))
            t = schema.feedback
            kept = select(schema.predictions.c.prediction_id)
            db.execute(delete(t).where(t.c.timestamp < before, t.c.prediction_id.not_in(kept)))
        with self.database.read() as db:
            return read_state(db, Retired).rows.get(turn, 0)


def retire_some(database: Database, before: datetime, turn: str) -> int:
    p = schema.predictions
    query = select(p.c.prediction_id, p.c.text).where(p.c.timestamp < before, ~_wanted())
    with database.write() as db:
        rows = db.execute(query.order_by(p.c.timestamp).limit(ROWS_AT_A_TIME)).all()
        if rows:
            _delete(db, [r[0] for r in rows], [text_hash(r[1]) for r in rows])
            count = {turn: read_state(db, Retired).rows.get(turn, 0) + len(rows)}
            write_state(db, Retired(count))
    return len(rows)


def _strings(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {s for v in value.values() for s in _strings(v)}
    if isinstance(value, list):
        return {s for v in value for s in _strings(v)}
    return {value} if isinstance(value, str) else set()


def _drop_texts(db: Connection, hashes: Iterable[str]) -> None:
    """What is kept under the hashes of texts."""
    for part in parts(hashes):
        for table in (schema.embeddings, schema.tested_answers):
            db.execute(delete(table).where(table.c.text_hash.in_(part)))


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


def _wanted() -> ColumnElement[bool]:
    """Predictions that a label is waited for, or whose label no dataset has taken."""
    p, k, a = schema.predictions, schema.tasks, schema.annotations
    labelled = select(a.c.prediction_id).where(a.c.prediction_id == p.c.prediction_id)
    asked = select(k.c.prediction_id).where(k.c.prediction_id == p.c.prediction_id)
    return or_(asked.exists() & ~labelled.exists(), labelled.where(a.c.partition.is_(None)).exists())


def _delete(db: Connection, ids: Sequence[str], hashes: Sequence[str]) -> None:
    answers = (schema.feedback, schema.scores, *TABLES, schema.predictions)
    for part in parts(ids):
        for table in answers:
            db.execute(delete(table).where(table.c.prediction_id.in_(part)))
    _drop_texts(db, hashes)
