"""Tasks and annotations: what was asked, what people said, and which dataset took it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Table, func, select, update

from core import schema
from core.database import Database, parts
from core.errors import LabelError
from core.records import TOPIC, Annotation, AnnotationTask


@dataclass(frozen=True)
class Pick:
    """One of a model's answers that was picked for a label."""

    timestamp: datetime  # of the round
    chance: float  # that it was kept by the log and picked
    right: bool | None  # None while nobody labelled it


class Labels(Database):
    """Annotation tasks and their labels: one label a prediction, taken by one partition."""

    def add_tasks(self, tasks: Sequence[AnnotationTask]) -> None:
        known = {c.name for c in schema.tasks.columns}
        with self._write() as db:
            rows = [{k: v for k, v in asdict(t).items() if k in known} for t in tasks]
            self._insert(db, schema.tasks, rows)

    def open_tasks(self) -> list[AnnotationTask]:
        """Tasks without an annotation, oldest first, with text, the model's guess and the request."""
        a = schema.annotations
        query = self._tasks().where(~select(a).where(_same(a, schema.tasks)).exists())
        return self._records(query, AnnotationTask)

    def picked(self, start: datetime, end: datetime) -> int:
        """How many tasks were picked in [start, end): what a label budget counts."""
        t = schema.tasks
        query = select(func.count()).select_from(t).where(t.c.timestamp >= start, t.c.timestamp < end)
        with self._read() as db:
            return int(db.execute(query).scalar_one())

    def picks(self, model_version: str, after: datetime, until: datetime) -> list[Pick]:
        """The answers of a version that were picked in (after, until], in order."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        query = (
            select(k.c.timestamp, (k.c.propensity * p.c.propensity).label("chance"))
            .add_columns((a.c.label == p.c.label).label("right"))
            .select_from(k.join(p, _same(k, p)).outerjoin(a, _same(a, k)))
            .where(k.c.timestamp > after, k.c.timestamp <= until, p.c.model_version == model_version)
            .where(k.c.policy != TOPIC)
            .order_by(k.c.timestamp, k.c.prediction_id)
        )
        with self._read() as db:
            return [Pick(t, float(c), None if r is None else bool(r)) for t, c, r in db.execute(query)]

    def labels_by_partition(self) -> dict[str, int]:
        """How many annotations each reservoir partition took."""
        t = schema.annotations
        query = select(t.c.partition, func.count()).where(t.c.partition.is_not(None))
        with self._read() as db:
            return {str(p): int(n) for p, n in db.execute(query.group_by(t.c.partition))}

    def task_ids(self, prediction_ids: Sequence[str]) -> set[str]:
        """Which of these predictions are tasks."""
        t = schema.tasks.c.prediction_id
        found: set[str] = set()
        with self._read() as db:
            for part in parts(prediction_ids):
                found.update(db.execute(select(t).where(t.in_(part))).scalars())
        return found

    def labels_of(self, prediction_ids: Sequence[str]) -> dict[str, str]:
        """The labels that are known: prediction id -> label."""
        with self._read() as db:
            return _labels(db, prediction_ids)

    def annotate(self, annotations: Sequence[Annotation]) -> int:
        """Store annotations; returns how many are new. The same one again is harmless; another
        label for an annotated prediction raises LabelError and stores nothing."""
        ids = [a.prediction_id for a in annotations]
        with self._write() as db:
            before = _labels(db, ids)
            self._insert(db, schema.annotations, [asdict(a) for a in annotations])
            after = _labels(db, ids)  # where two write at once, the first one's
            for a in annotations:
                if after[a.prediction_id] != a.label:
                    raise LabelError(
                        "two labels for one prediction",
                        where=a.prediction_id,
                        got=a.label,
                        expected=after[a.prediction_id],
                    )
        return len(after) - len(before)

    def annotations(self) -> int:
        with self._read() as db:
            return int(db.execute(select(func.count()).select_from(schema.annotations)).scalar_one())

    def unclaimed(self) -> tuple[int, int]:
        """Annotations that no reservoir partition has taken: (for training, for audit)."""
        a, k = schema.annotations, schema.tasks
        query = (
            select(k.c.audit, func.count())
            .select_from(a.outerjoin(k, _same(a, k)))
            .where(a.c.partition.is_(None))
            .group_by(k.c.audit)
        )
        with self._read() as db:
            counts = db.execute(query).all()
        audit = sum(int(n) for drawn, n in counts if drawn)
        return sum(int(n) for _, n in counts) - audit, audit

    def audited(self, most: int) -> list[tuple[str, str, bytes]]:
        """Text, encoder and embedding (float16 bytes) of audit tasks whose label no partition has
        taken, newest first."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        query = (
            select(p.c.text, p.c.encoder, p.c.embedding)
            .select_from(k.join(p, _same(k, p)).outerjoin(a, _same(a, k)))
            .where(k.c.audit, a.c.partition.is_(None))
            .order_by(k.c.timestamp.desc(), k.c.prediction_id)
            .limit(most)
        )
        with self._read() as db:
            return [(str(t), str(n), bytes(e or b"")) for t, n, e in db.execute(query)]

    def untrained(self) -> list[tuple[str, str, bytes]]:
        """Label, encoder and embedding (float16 bytes) of annotations to train on that no partition has
        taken, in order of time."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        query = (
            select(a.c.label, p.c.encoder, p.c.embedding)
            .select_from(a.join(k, _same(a, k)).join(p, _same(k, p)))
            .where(~k.c.audit, a.c.partition.is_(None), p.c.embedding.is_not(None))
            .order_by(k.c.timestamp, k.c.prediction_id)
        )
        with self._read() as db:
            return [(str(label), str(n), bytes(e)) for label, n, e in db.execute(query)]

    def claim(self, partition: str, as_of: datetime) -> pd.DataFrame:
        """Give every unclaimed annotation up to `as_of` to a reservoir partition, and return the
        partition's rows: prediction_id, timestamp, text, label, embedding (float16 bytes), encoder,
        segments, user_key, policy, round, propensity, audit, annotator. Claiming again is harmless."""
        a, p, k = schema.annotations, schema.predictions, schema.tasks
        with self._write() as db:
            db.execute(
                update(a)
                .where(a.c.partition.is_(None), a.c.timestamp <= as_of)
                .values(partition=partition)
            )
        joined = a.join(p, _same(a, p)).outerjoin(k, _same(a, k))
        query = (
            select(
                p.c.prediction_id,
                p.c.timestamp,
                p.c.text,
                a.c.label,
                p.c.embedding,
                p.c.encoder,
                p.c.segments,
                p.c.user_key,
                func.coalesce(k.c.policy, "feedback").label("policy"),
                func.coalesce(k.c.round, "").label("round"),
                (k.c.propensity * p.c.propensity).label("propensity"),
                func.coalesce(k.c.audit, False).label("audit"),
                a.c.annotator,
            )
            .select_from(joined)
            .where(a.c.partition == partition)
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self._read() as db:
            result = db.execute(query)
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))

    def _tasks(self) -> Any:
        k, p = schema.tasks, schema.predictions
        columns = (k, p.c.text, p.c.label.label("predicted"), p.c.request_id)
        query = select(*columns).join(p, _same(k, p))
        return query.order_by(k.c.timestamp, k.c.prediction_id)


def _labels(db: Connection, prediction_ids: Sequence[str]) -> dict[str, str]:
    t = schema.annotations
    found: dict[str, str] = {}
    for part in parts(prediction_ids):
        query = select(t.c.prediction_id, t.c.label).where(t.c.prediction_id.in_(part))
        found.update({r[0]: r[1] for r in db.execute(query)})
    return found


def _same(left: Table, right: Table) -> Any:
    return left.c.prediction_id == right.c.prediction_id
