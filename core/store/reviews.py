"""What only an adjudicator can settle: votes that differ, and labels that look wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, delete, func, select, update

from core import schema
from core.arrays import Array
from core.database import Database, among, insert_new, parts, upsert
from core.errors import LabelError
from core.records.labels import AnnotationTask, Dispute, Review, Vote
from core.store.naming import Naming, with_label
from core.store.queue import QueueRepository
from core.store.scores import write_scores
from core.store.task_states import different
from core.store.tasks import keep_history, lock_tasks, same, task_rows, unsettled

MOST = 200  # disputes that are read at once
_K, _V, _L, _A, _R = schema.tasks, schema.votes, schema.leases, schema.annotations, schema.reviews
_P, _H = schema.predictions, schema.relabelled


@dataclass(frozen=True)
class Fresh:
    """A label that no dataset has taken."""

    prediction_id: str
    label: str  # as it is called
    annotator: str
    audit: bool
    encoder: str
    embedding: Array  # (dim,) float16
    seconded: bool  # a second person has looked at it


def _nobodys(prediction_id: str) -> LabelError:
    return LabelError(
        "no task for this prediction id",
        where=prediction_id,
        do="everloop label status shows ids, and so do the files of everloop label export",
    )


@dataclass
class ReviewRepository:
    """Disputes of both kinds, the one verb that ends them, and what is asked a second time."""

    database: Database
    naming: Naming
    queue: QueueRepository

    def disputed(self, most: int = MOST) -> list[Dispute]:
        """Tasks whose annotators differ, oldest first, then labels under review, the worst first."""
        query = task_rows(self.naming).where(*unsettled(), different(self.naming) > 1).limit(most)
        tasks = self.database.records(query, AnnotationTask)
        votes = self._by_task([t.prediction_id for t in tasks])
        differ = [Dispute(t, v, said(v)) for t in tasks for v in [votes[t.prediction_id]]]
        return differ + self._doubted(most - len(differ))

    def check(self, prediction_id: str) -> None:
        """Raises LabelError for what is neither a task nor labelled nor under review."""
        tables = (schema.tasks, _A, _R)
        with self.database.read() as db:
            if any(
                db.execute(select(1).where(t.c.prediction_id == prediction_id)).first() for t in tables
            ):
                return
        raise _nobodys(prediction_id)

    def adjudicate(self, prediction_id: str, label: str, annotator: str, timestamp: datetime) -> None:
        """Settle what is in dispute, or correct what is settled: the next dataset takes the new label,
        and the old one stays in the history. The same again is harmless. Raises LabelError for what is
        neither a task nor labelled nor under review."""
        new = {
            "value": label,
            "kind": self.naming.task.kind,
            "annotator": annotator,
            "timestamp": timestamp,
            "partition": None,
        }
        this = _A.c.prediction_id == prediction_id
        with self.database.write() as db:
            task = lock_tasks(db, [prediction_id])
            known = db.execute(select(_A).where(this)).first()
            doubted = db.execute(select(_R).where(_R.c.prediction_id == prediction_id)).first()
            wrong = doubted is not None and self.naming.now(doubted.label) != label
            if not (task or known or doubted):
                raise _nobodys(prediction_id)
            if known is not None and self.naming.now(known.value) != label:
                keep_history(db, known)
                db.execute(update(_A).where(this).values(new))
            elif known is None and (task or wrong):
                insert_new(db, _A, [{"prediction_id": prediction_id, **new}])
            write_scores(db, self.naming, [prediction_id])
            _end(db, prediction_id, timestamp)

    def add(self, reviews: Sequence[Review]) -> int:
        """Put labels under review; returns how many are new. One that was looked at and found right is
        not asked for again, as long as its label is the same."""
        with self.database.write() as db:
            ids = [r.prediction_id for r in reviews]
            known = {r.prediction_id: r for r in among(db, select(_R), _R.c.prediction_id, ids)}
            fresh = [r for r in reviews if self._to_be_asked(r, known.get(r.prediction_id))]
            upsert(db, _R, [{**asdict(r), "answered": None} for r in fresh])
        return sum(
            r.prediction_id not in known or known[r.prediction_id].answered is not None for r in fresh
        )

    def open(self, most: int = MOST) -> list[Review]:
        """Labels under review, the least likely first."""
        query = select(*with_label(_R, self.naming.called(_R.c.label))).where(_R.c.answered.is_(None))
        return self.database.records(query.order_by(_R.c.score, _R.c.prediction_id).limit(most), Review)

    def count(self) -> int:
        """How many labels are under review."""
        query = select(func.count()).select_from(_R).where(_R.c.answered.is_(None))
        return int(self.database.value(query))

    def fresh(self, as_of: datetime) -> list[Fresh]:
        """Annotations up to a time that no partition has taken, with an embedding, in order of time."""
        label = self.naming.held(_A.c.value)
        agreed = (
            select(func.count())
            .where(same(_V, _A), _V.c.counted, _V.c.label.is_not(None))
            .scalar_subquery()
        )
        changed = select(_H).where(same(_H, _A), _H.c.annotator != _A.c.annotator).exists()
        query = (
            select(_A.c.prediction_id, label.label("label"), _A.c.annotator, _K.c.audit)
            .add_columns(_P.c.encoder, _P.c.embedding, ((agreed > 1) | changed).label("seconded"))
            .select_from(_A.join(_K, same(_A, _K)).join(_P, same(_A, _P)))
            .where(_A.c.partition.is_(None), _A.c.timestamp <= as_of)
            .where(_P.c.embedding.is_not(None), label.is_not(None))
            .order_by(_P.c.timestamp, _A.c.prediction_id)
        )
        rows = self.database.records(query, Fresh)
        return [replace(r, embedding=np.frombuffer(r.embedding, np.float16)) for r in rows]

    def ask_again(self, prediction_ids: Sequence[str], annotator: str, now: datetime, why: str) -> int:
        """Hand these tasks to somebody else than their annotator; returns how many are.

        The label goes to the history, and the vote that it stood on becomes a skip with the reason.
        Datasets that have taken the label keep it; the next ones leave the row out (see `set_aside`)
        until it is answered. A label of another annotator by now stays."""
        done = 0
        for part in parts(prediction_ids):
            with self.database.write() as db:
                lock_tasks(db, part)
                logged = select(_P).where(same(_P, _A)).exists()  # who is asked must see the text
                here = select(_A).where(_A.c.prediction_id.in_(part), _A.c.annotator == annotator)
                found = db.execute(here.where(logged)).all()
                for row in found:
                    keep_history(db, row)
                ids = [r.prediction_id for r in found]
                skips = [
                    {"prediction_id": r.prediction_id, "annotator": r.annotator, "label": None}
                    | {"timestamp": now, "note": why, "counted": False}
                    for r in found
                ]
                db.execute(delete(_A).where(_A.c.prediction_id.in_(ids)))
                write_scores(db, self.naming, ids)
                upsert(db, _V, skips)
                db.execute(update(_K).where(_K.c.prediction_id.in_(ids)).values(unsettled=True))
                done += len(ids)
        return done

    def set_aside(self) -> list[str]:
        """Rows that datasets have taken and that are asked again: until somebody answers, the next ones
        leave them out."""
        answered = select(_A).where(same(_A, _H)).exists()
        query = select(_H.c.prediction_id).where(_H.c.partition != "", ~answered).distinct()
        return self.database.column(query.order_by(_H.c.prediction_id))

    def _doubted(self, most: int) -> list[Dispute]:
        reviews = self.open(most)
        ids = [r.prediction_id for r in reviews]
        votes, tasks = self._by_task(ids), self.queue.tasks(ids)
        return [
            Dispute(
                tasks.get(r.prediction_id) or _alone(r),
                votes[r.prediction_id],
                f"'{r.label}' has a chance of {r.score:.0%}, by a model that did not learn from it",
                r.label,
                r.suggested,
            )
            for r in reviews
        ]

    def _to_be_asked(self, review: Review, known: Row[Any] | None) -> bool:
        if known is None or known.answered is None:
            return True
        return self.naming.last(known.label) != self.naming.last(review.label)

    def _by_task(self, ids: Sequence[str]) -> dict[str, list[Vote]]:
        found: dict[str, list[Vote]] = {i: [] for i in ids}
        for vote in self.queue.votes(ids):
            found[vote.prediction_id].append(vote)
        return found


def said(votes: Sequence[Vote]) -> str:
    """
    >>> when = datetime(2026, 1, 5)
    >>> said([Vote("p", "ana", "a", when), Vote("p", "bob", "b", when), Vote("p", "cy", None, when)])
    "ana says 'a', bob says 'b'"
    """
    return ", ".join(f"{v.annotator} says '{v.label}'" for v in votes if v.label is not None)


def _alone(review: Review) -> AnnotationTask:
    """A row that was never picked: one of the first rows, or one with a label from elsewhere."""
    return AnnotationTask(
        review.prediction_id, review.timestamp, "review", "review", 1.0, False, text=review.text
    )


def _end(db: Connection, prediction_id: str, timestamp: datetime) -> None:
    """No vote counts any more, nobody has it before them, no review waits and keeps the text."""
    db.execute(update(_V).where(_V.c.prediction_id == prediction_id).values(counted=False))
    db.execute(delete(_L).where(_L.c.prediction_id == prediction_id))
    db.execute(update(_K).where(_K.c.prediction_id == prediction_id).values(unsettled=False))
    waits = (_R.c.prediction_id == prediction_id) & _R.c.answered.is_(None)
    db.execute(update(_R).where(waits).values(answered=timestamp, text=""))
