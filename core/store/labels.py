"""Tasks and annotations: what was asked, and the one settled truth about each prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, FromClause, func, select, update

from core import schema
from core.database import parts
from core.errors import LabelError
from core.records import BY_HAND, Annotation, AnnotationTask
from core.store.naming import Naming


@dataclass(frozen=True)
class Pick:
    """One of a model's answers that was picked for a label."""

    timestamp: datetime  # of the round
    chance: float  # that it was kept by the log and picked
    right: bool | None  # None while nobody labelled it


class Labels(Naming):
    """Annotation tasks and their labels: one label a prediction."""

    def add_tasks(self, tasks: Sequence[AnnotationTask]) -> None:
        known = {c.name for c in schema.tasks.columns}
        with self._write() as db:
            rows = [{k: v for k, v in asdict(t).items() if k in known} for t in tasks]
            self._insert(db, schema.tasks, rows)
            self._close(db, [t.prediction_id for t in tasks])

    def open_tasks(self) -> list[AnnotationTask]:
        """Tasks without an annotation, oldest first, with text, the model's guess and the request."""
        a = schema.annotations
        k = schema.tasks
        query = self._tasks().where(k.c.unsettled.is_(True), ~select(a).where(same(a, k)).exists())
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
            .add_columns((self._held(a.c.label) == self._called(p.c.label)).label("right"))
            .select_from(k.join(p, same(k, p)).outerjoin(a, same(a, k)))
            .where(k.c.timestamp > after, k.c.timestamp <= until, p.c.model_version == model_version)
            .where(k.c.policy.not_in(BY_HAND))
            .order_by(k.c.timestamp, k.c.prediction_id)
        )
        with self._read() as db:
            return [Pick(t, float(c), None if r is None else bool(r)) for t, c, r in db.execute(query)]

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
            found = _labels(db, prediction_ids).items()
        return {i: name for i, label in found if (name := self._name(label)) is not None}

    def label_names(self) -> list[str]:
        """Every label that was given so far."""
        query = select(self._held(schema.annotations.c.label)).distinct()
        with self._read() as db:
            return sorted(x for x in db.execute(query).scalars() if x is not None)

    def annotate(self, annotations: Sequence[Annotation]) -> int:
        """Store annotations; returns how many are new. The same one again is harmless; another
        label for an annotated prediction raises LabelError and stores nothing."""
        ids = [a.prediction_id for a in annotations]
        with self._write() as db:
            self._lock(db, ids)
            before = _labels(db, ids)
            self._insert(db, schema.annotations, [asdict(a) for a in annotations])
            after = _labels(db, ids)  # where two write at once, the first one's
            for a in annotations:
                if self._name(after[a.prediction_id]) != self._name(a.label):
                    raise LabelError(
                        "two labels for one prediction",
                        where=a.prediction_id,
                        got=a.label,
                        expected=after[a.prediction_id],
                    )
            self._close(db, ids)
        return len(after) - len(before)

    def annotations(self) -> int:
        with self._read() as db:
            return int(db.execute(select(func.count()).select_from(schema.annotations)).scalar_one())

    def tasks_of(self, prediction_ids: Sequence[str]) -> dict[str, AnnotationTask]:
        """These tasks by their prediction, as far as the log has it still."""
        found: dict[str, AnnotationTask] = {}
        for part in parts(prediction_ids):
            query = self._tasks().where(schema.tasks.c.prediction_id.in_(part))
            found |= {t.prediction_id: t for t in self._records(query, AnnotationTask)}
        return found

    def audited(self, before: datetime, most: int) -> list[tuple[str, str, bytes]]:
        """Text, encoder and embedding (float16 bytes) of audit tasks of earlier rounds whose label no
        partition has taken, newest first. A round that is run again must not see its own."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        query = (
            select(p.c.text, p.c.encoder, p.c.embedding)
            .select_from(k.join(p, same(k, p)).outerjoin(a, same(a, k)))
            .where(k.c.audit, k.c.timestamp < before, a.c.partition.is_(None))
            .order_by(k.c.timestamp.desc(), k.c.prediction_id)
            .limit(most)
        )
        with self._read() as db:
            return [(str(t), str(n), bytes(e or b"")) for t, n, e in db.execute(query)]

    def untrained(self) -> list[tuple[str, str, bytes]]:
        """Label, encoder and embedding (float16 bytes) of annotations to train on that no partition has
        taken, in order of time."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        label = self._held(a.c.label)
        query = (
            select(label, p.c.encoder, p.c.embedding)
            .select_from(a.join(k, same(a, k)).join(p, same(k, p)))
            .where(~k.c.audit, a.c.partition.is_(None), p.c.embedding.is_not(None), label.is_not(None))
            .order_by(k.c.timestamp, k.c.prediction_id)
        )
        with self._read() as db:
            return [(str(name), str(n), bytes(e)) for name, n, e in db.execute(query)]

    def mark_settled(self) -> None:
        """For a store that did not yet know which tasks are settled."""
        k, a = schema.tasks, schema.annotations
        with self._write() as db:
            db.execute(update(k).where(select(a).where(same(a, k)).exists()).values(unsettled=False))

    def _close(self, db: Connection, prediction_ids: Sequence[str]) -> None:
        """The tasks among these that have their annotation leave the queue's index."""
        k, a = schema.tasks, schema.annotations
        for part in parts(prediction_ids):
            done = select(a).where(same(a, k)).exists()
            db.execute(update(k).where(k.c.prediction_id.in_(part), done).values(unsettled=False))

    def _lock(self, db: Connection, prediction_ids: Sequence[str]) -> list[str]:
        """Nobody else settles these tasks while this transaction lasts; returns the tasks."""
        k, found = schema.tasks.c.prediction_id, list[str]()
        for part in parts(sorted(set(prediction_ids))):
            query = select(k).where(k.in_(part)).order_by(k).with_for_update()
            found += db.execute(query).scalars()
        return found

    def _tasks(self) -> Any:
        k, p = schema.tasks, schema.predictions
        columns = (k, p.c.text, self._called(p.c.label).label("predicted"), p.c.request_id)
        query = select(*columns).join(p, same(k, p))
        return query.order_by(k.c.timestamp, k.c.prediction_id)


def _labels(db: Connection, prediction_ids: Sequence[str]) -> dict[str, str]:
    t = schema.annotations
    found: dict[str, str] = {}
    for part in parts(prediction_ids):
        query = select(t.c.prediction_id, t.c.label).where(t.c.prediction_id.in_(part))
        found.update({r[0]: r[1] for r in db.execute(query)})
    return found


def same(left: FromClause, right: FromClause) -> Any:
    return left.c.prediction_id == right.c.prediction_id
