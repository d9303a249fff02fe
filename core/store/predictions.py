"""The prediction log: every group of answers in one transaction, each group once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from operator import attrgetter
from typing import Any

import numpy as np
from sqlalchemy import Connection, case, delete, select
from sqlalchemy.dialects import postgresql

from core import schema
from core.database import parts
from core.kept import Kept
from core.records import ANSWERED, Feedback, Prediction
from core.store.profiles import Profiles
from core.store.served import Served

log = logging.getLogger(__name__)
AT_ONCE = 2000  # ids that one query carries; a writer's group has as many rows


class Predictions(Profiles, Served):
    """Answers and what was said of them."""

    def log(self, predictions: Sequence[Prediction], encoder_passes: int = 0) -> None:
        """Write answers, and count what the encoder read for them, in one transaction."""
        texts = sum(p.variant in ANSWERED for p in predictions)
        self.append([Kept(predictions, texts, passes=encoder_passes)])

    def append(self, groups: Sequence[Kept], writer: str = "") -> None:
        """Write groups in one transaction. Under a writer's name a group that is in already, by its
        number, changes nothing; without one only its rows are safe to be written again. Rows that were
        forgotten while they waited elsewhere are left out."""
        with self._write() as db:
            last = self._last(db, writer) if writer else -1
            fresh = [g for g in groups if g.number > last]
            rows = self._not_forgotten(db, [p for g in fresh for p in g.rows])
            answers = [p for p in rows if p.variant in ANSWERED]
            shadows = [p for p in rows if p.variant not in ANSWERED]
            known = len(answers) - self._serve(db, answers)
            self._serve(db, shadows)
            self._add_profiles(db, writer, [p for g in fresh for p in g.profiles])
            passes, texts = sum(g.passes for g in fresh), sum(g.texts for g in fresh) - known
            self._count(db, {"encoder_passes.serving": passes, "texts.serving": texts})
            if writer:
                number = max([last, *(g.number for g in fresh)])
                self._plain(db, "UPDATE writers SET number = ? WHERE writer = ?", (number, writer))

    def _not_forgotten(self, db: Connection, rows: list[Prediction]) -> list[Prediction]:
        """Without those that have a tombstone: a server's spool may have had them all the time."""
        if self._plain(db, "SELECT 1 FROM tombstones LIMIT 1", ()).first() is None:
            return rows
        gone: set[str] = set()
        for part in parts((p.prediction_id for p in rows), AT_ONCE):
            query = f"SELECT row_id FROM tombstones WHERE row_id IN ({', '.join('?' * len(part))})"
            gone |= set(self._plain(db, query, tuple(part)).scalars())
        if gone:
            log.info("%d rows were forgotten before they came to the store: left out", len(gone))
            self._count(db, {"forgotten.left_out": len(gone)})
        return [p for p in rows if p.prediction_id not in gone]

    def _serve(self, db: Connection, rows: Sequence[Prediction]) -> int:
        """Insert answers and count them by model; returns how many are new."""
        by_model: dict[tuple[str, str], list[Prediction]] = {}
        for row in rows:
            by_model.setdefault((row.model_version, row.variant), []).append(row)
        total = 0
        for (version, variant), answers in by_model.items():
            new = self._append(db, schema.predictions, _columns(answers))
            times = [p.timestamp for p in answers]
            self._add_served(db, version, variant, new, (min(times), max(times)))
            total += new
        return total

    def forget_writer(self, writer: str) -> None:
        """A writer that will never write again needs no place."""
        with self._write() as db:
            db.execute(delete(schema.writers).where(schema.writers.c.writer == writer))

    def _last(self, db: Connection, writer: str) -> int:
        """The newest group of a writer that is in. Its row is locked: a commit whose outcome nobody
        knows, because the line broke, is over before we look."""
        lock = " FOR UPDATE" if self._dialect is postgresql else ""
        query = f"SELECT number FROM writers WHERE writer = ?{lock}"
        found = self._plain(db, query, (writer,)).scalar_one_or_none()
        if found is None:
            self._insert(db, schema.writers, [{"writer": writer, "number": 0}])
            found = self._plain(db, query, (writer,)).scalar_one()
        return int(found)

    def known(self, request_ids: Sequence[str]) -> dict[str, Prediction]:
        """The answers already given to these requests: request id -> prediction (no arrays)."""
        t = schema.predictions
        rows: list[Any] = []
        with self._read() as db:
            for part in parts(request_ids):
                query = select(t).where(t.c.request_id.in_(part), t.c.variant.in_(ANSWERED))
                rows += db.execute(query).mappings().all()
        return {r["request_id"]: _prediction(r) for r in rows}

    def prediction(self, prediction_id: str) -> Prediction | None:
        t = schema.predictions
        with self._read() as db:
            row = db.execute(select(t).where(t.c.prediction_id == prediction_id)).mappings().first()
        return _prediction(row) if row else None

    def give_feedback(self, items: Sequence[Feedback]) -> None:
        with self._write() as db:
            self._insert(db, schema.feedback, [asdict(f) for f in items])

    def feedback(self, start: datetime, end: datetime) -> list[Feedback]:
        """What was said in [start, end); the labels in it as they are called."""
        t = schema.feedback
        thumb, value = t.c.kind == "thumbs", self._called(t.c.value)
        columns = [c for c in t.columns if c is not t.c.value]
        said = case((thumb, t.c.value), else_=value).label("value")
        query = select(*columns, said).where(t.c.timestamp >= start, t.c.timestamp < end)
        return self._records(query.order_by(t.c.timestamp, t.c.feedback_id), Feedback)


_VALUES = attrgetter(*schema.predictions.columns.keys())
_ARRAYS = [schema.predictions.columns.keys().index(n) for n in ("probabilities", "embedding")]


def _columns(rows: Sequence[Prediction]) -> list[Sequence[Any]]:
    """Predictions as the table's columns, arrays as bytes."""
    columns: list[Sequence[Any]] = list(zip(*map(_VALUES, rows), strict=True))
    for i in _ARRAYS if rows else ():
        columns[i] = [
            None if array is None else np.asarray(array, dtype=np.float16).tobytes()
            for array in columns[i]
        ]
    return columns


def _prediction(row: Any) -> Prediction:
    values = dict(row)
    values["probabilities"] = np.frombuffer(values["probabilities"], dtype=np.float16)
    if values["embedding"] is not None:
        values["embedding"] = np.frombuffer(values["embedding"], dtype=np.float16)
    return Prediction(**values)
