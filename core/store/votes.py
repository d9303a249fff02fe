"""Votes: what each annotator says of a task, and the annotation that comes of it once enough agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Select,
    delete,
    func,
    select,
    update,
)

from core import schema
from core.database import parts
from core.errors import LabelError
from core.records import TaskState, Vote
from core.store.labels import Labels, same
from core.store.naming import with_label

SOME = 500  # tasks that are settled in one transaction
_K, _V, _L, _A = schema.tasks, schema.votes, schema.leases, schema.annotations


class Votes(Labels):
    """One vote an annotator; a task is settled when enough votes agree."""

    @property
    def _given(self) -> ScalarSelect[int]:
        """How many labels votes give a task."""
        return select(func.count(self._held(_V.c.label))).where(same(_V, _K)).scalar_subquery()

    @property
    def _different(self) -> ScalarSelect[int]:
        """How many different ones."""
        label = self._held(_V.c.label)
        return select(func.count(label.distinct())).where(same(_V, _K)).scalar_subquery()

    def vote(self, vote: Vote, needed: int) -> TaskState:
        """Store a vote and, where `needed` labels agree now, the task's annotation; the lease ends.

        The same vote again is harmless, another one of the same annotator replaces it. Raises
        LabelError, and stores nothing: no such task, or it is settled with another label.
        """
        state = self.votes([vote], needed)[0]
        if isinstance(state, LabelError):
            raise state
        return state

    def votes(
        self, votes: Sequence[Vote], needed: int, replace: bool = True
    ) -> list[TaskState | LabelError]:
        """Many votes in one transaction; those that cannot be taken give why, see `vote`. Without
        `replace`, another label of the same annotator is one of them."""
        found: dict[int, TaskState | LabelError] = {}
        with self._write() as db:
            # in one order for all, so that no two writers wait for each other
            for i in sorted(range(len(votes)), key=lambda i: votes[i].prediction_id):
                try:
                    found[i] = self._vote(db, votes[i], needed, replace)
                except LabelError as why:
                    found[i] = why
        return [found[i] for i in range(len(votes))]

    def _vote(self, db: Connection, vote: Vote, needed: int, replace: bool) -> TaskState:
        settled = self._settled_as(db, vote.prediction_id)
        mine = _of(vote.prediction_id, vote.annotator)
        known = db.execute(self._said().where(*mine)).first()
        if settled and _contradicts(vote, known, settled):
            raise _too_late(vote, settled)
        if known and known.label and known.label != vote.label and not replace:
            raise LabelError(
                f"{vote.annotator} has labelled it '{known.label}'",
                where=vote.prediction_id,
                got=f"'{vote.label}'",
                expected="one label an annotator",
            )
        if _news(vote, known) and not (settled and known and known.label):
            self._replace(db, _V, [{**asdict(vote), "counted": False}])
        db.execute(delete(_L).where(*_of(vote.prediction_id, vote.annotator, _L)))
        return "done" if settled else self._settle(db, vote.prediction_id, needed)

    def unvote(self, prediction_id: str, annotator: str) -> None:
        """Take a vote back, and the annotation that stands on it, where not as many others agree; what
        was never said is harmless. Raises LabelError when a dataset has that annotation already."""
        mine = _of(prediction_id, annotator)
        counting = (_V.c.prediction_id == prediction_id) & _V.c.counted
        with self._write() as db:
            settled = self._settled_as(db, prediction_id)
            counted = db.execute(select(_V.c.counted).where(*mine)).scalar_one_or_none()
            if counted and settled and settled.partition is not None:
                raise LabelError(
                    "a dataset has taken this label",
                    where=prediction_id,
                    got=f"'{settled.label}' in {settled.partition}",
                    expected="a label that no dataset has taken",
                    do=f"everloop label adjudicate {prediction_id} LABEL",
                )
            db.execute(delete(_V).where(*mine))
            if counted:
                needed = db.execute(select(func.count()).where(counting)).scalar_one() + 1
                db.execute(delete(_A).where(_A.c.prediction_id == prediction_id))
                db.execute(update(_K).where(_K.c.prediction_id == prediction_id).values(unsettled=True))
                db.execute(update(_V).where(_V.c.prediction_id == prediction_id).values(counted=False))
                self._settle(db, prediction_id, needed)

    def settle(self, needed: int) -> int:
        """Settle what has enough votes since fewer are needed; returns how many tasks that were."""
        agree = [self._different == 1, needed <= self._given]
        query = select(_K.c.prediction_id).where(*unsettled(), *agree)
        query, done = query.order_by(_K.c.prediction_id).limit(SOME), 0
        while True:
            with self._write() as db:
                found = list(db.execute(query.with_for_update()).scalars())
                for prediction_id in found:
                    self._settle(db, prediction_id, needed)
            done += len(found)
            if len(found) < SOME:
                return done

    def _settle(self, db: Connection, prediction_id: str, needed: int) -> TaskState:
        """The state after a vote on a task that was not settled, which it may be now."""
        counted = [_V.c.prediction_id == prediction_id, self._held(_V.c.label).is_not(None)]
        votes = db.execute(self._said().where(*counted).order_by(_V.c.annotator)).all()
        if len({v.label for v in votes}) > 1:
            return "disputed"
        if len(votes) < needed:
            return "waiting" if votes else "skipped"
        row = {
            "prediction_id": prediction_id,
            "label": votes[0].label,
            "annotator": ", ".join(v.annotator for v in votes),
            "timestamp": max(v.timestamp for v in votes),
        }
        self._insert(db, _A, [row])
        db.execute(update(_K).where(_K.c.prediction_id == prediction_id).values(unsettled=False))
        db.execute(update(_V).where(*counted).values(counted=True))
        return "done"

    def votes_of(self, prediction_ids: Sequence[str]) -> list[Vote]:
        """What was said of these tasks, by task and annotator."""
        found: list[Vote] = []
        for part in parts(sorted(set(prediction_ids))):
            query = self._said().where(_V.c.prediction_id.in_(part))
            found += self._records(query.order_by(_V.c.prediction_id, _V.c.annotator), Vote)
        return found

    def all_votes(self) -> list[Vote]:
        """Everything that was said, by task and annotator."""
        return self._records(self._said().order_by(_V.c.prediction_id, _V.c.annotator), Vote)

    def _said(self) -> Select[Any]:
        return select(*with_label(_V, self._held(_V.c.label)))

    def _settled_as(self, db: Connection, prediction_id: str) -> Row[Any] | None:
        """The annotation of a task, if it has one. The task is locked: votes on it come one after
        another. Raises LabelError for what is no task."""
        task = select(_K.c.prediction_id).where(_K.c.prediction_id == prediction_id).with_for_update()
        if db.execute(task).first() is None:
            raise LabelError("no task for this prediction id", where=prediction_id)
        query = select(*with_label(_A, self._called(_A.c.label)))
        return db.execute(query.where(_A.c.prediction_id == prediction_id)).first()


def unsettled() -> list[ColumnElement[bool]]:
    return [_K.c.unsettled.is_(True), ~select(_A).where(same(_A, _K)).exists()]


def _of(prediction_id: str, annotator: str, table: Any = _V) -> list[ColumnElement[bool]]:
    return [table.c.prediction_id == prediction_id, table.c.annotator == annotator]


def _news(vote: Vote, known: Row[Any] | None) -> bool:
    return known is None or (vote.label, vote.note) != (known.label, known.note)


def _contradicts(vote: Vote, known: Row[Any] | None, settled: Row[Any]) -> bool:
    """Whether it changes what was said before the task was settled, or says otherwise after."""
    if known is not None and known.label is not None:
        return bool(vote.label != known.label)
    return vote.label not in (None, settled.label)


def _too_late(vote: Vote, settled: Row[Any]) -> LabelError:
    said = "skipped" if vote.label is None else f"'{vote.label}'"
    return LabelError(
        f"this prediction is already labelled '{settled.label}'",
        where=vote.prediction_id,
        got=f"{said} by {vote.annotator}",
        expected=f"'{settled.label}', which {settled.annotator} said",
        do=f"everloop label adjudicate {vote.prediction_id} LABEL",
    )
