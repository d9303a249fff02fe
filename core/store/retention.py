"""Retention: what is older than it may be leaves the store, in small transactions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, or_, select

from core import schema
from core.database import parts
from core.store.embeddings import text_hash
from core.store.state import State

ROWS_AT_A_TIME = 500


class Retention(State):
    """Deletes predictions, what was said of them, and what was counted."""

    def retire(self, before: datetime, turn: str) -> int:
        """Delete what was logged before a time, and return how many predictions that were.

        A prediction stays while a task waits for its label, or its label for a dataset. `turn` names
        this clearing: killed and called again under that name, it goes on and counts on.
        """
        while self._retire_some(before, turn):
            pass
        with self._write() as db:
            db.execute(delete(schema.profiles).where(schema.profiles.c.hour < before))
            for told in (schema.system, schema.quarantine):
                db.execute(delete(told).where(told.c.timestamp < before))
            db.execute(delete(schema.samples).where(schema.samples.c.start < before))
            t = schema.feedback
            kept = select(schema.predictions.c.prediction_id)
            db.execute(delete(t).where(t.c.timestamp < before, t.c.prediction_id.not_in(kept)))
        return int((self.get("retention") or {}).get(turn, 0))

    def _retire_some(self, before: datetime, turn: str) -> int:
        p = schema.predictions
        query = select(p.c.prediction_id, p.c.text).where(p.c.timestamp < before, ~_wanted())
        with self._write() as db:
            rows = db.execute(query.order_by(p.c.timestamp).limit(ROWS_AT_A_TIME)).all()
            if rows:
                _delete(db, [r[0] for r in rows], [text_hash(r[1]) for r in rows])
                done = db.execute(
                    select(schema.state.c.value).where(schema.state.c.key == "retention")
                ).scalar_one_or_none()
                count = {turn: (done or {}).get(turn, 0) + len(rows)}
                self._replace(db, schema.state, [{"key": "retention", "value": count}])
        return len(rows)


def _wanted() -> ColumnElement[bool]:
    """Predictions that a label is waited for, or whose label no dataset has taken."""
    p, k, a = schema.predictions, schema.tasks, schema.annotations
    labelled = select(a.c.prediction_id).where(a.c.prediction_id == p.c.prediction_id)
    asked = select(k.c.prediction_id).where(k.c.prediction_id == p.c.prediction_id)
    return or_(asked.exists() & ~labelled.exists(), labelled.where(a.c.partition.is_(None)).exists())


def _delete(db: Connection, ids: Sequence[str], hashes: Sequence[str]) -> None:
    p, f, e = schema.predictions, schema.feedback, schema.embeddings
    for part in parts(ids):
        db.execute(delete(f).where(f.c.prediction_id.in_(part)))
        db.execute(delete(p).where(p.c.prediction_id.in_(part)))
    for part in parts(hashes):
        db.execute(delete(e).where(e.c.text_hash.in_(part)))
