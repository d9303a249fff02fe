"""Votes: what each annotator says of a task, and the annotation that comes of it once enough agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    bindparam,
    delete,
    func,
    select,
    update,
)

from core import schema
from core.database import parts
from core.errors import LabelError
from core.records import Annotation, TaskState, Vote
from core.store.ballots import Ballot
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
        found: list[TaskState | LabelError] = []
        with self._write() as db:
            ballots = self._ballots(db, [v.prediction_id for v in votes])
            for vote in votes:
                try:
                    found.append(_of(ballots, vote.prediction_id).cast(vote, needed, replace))
                except LabelError as why:
                    found.append(why)
            self._save(db, ballots.values())
        return found

    def _unvote(self, db: Connection, prediction_id: str, annotator: str) -> bool:
        """Take a vote back, see `Queue.unvote`; whether there was one."""
        ballot = _of(self._ballots(db, [prediction_id]), prediction_id)
        this = _V.c.prediction_id == prediction_id
        counting = set(db.execute(select(_V.c.annotator).where(this, _V.c.counted)).scalars())
        partition = select(_A.c.partition).where(_A.c.prediction_id == prediction_id)
        if annotator in counting and (taken := db.execute(partition).scalar()) is not None:
            raise LabelError(
                "a dataset has taken this label",
                where=prediction_id,
                got=f"'{ballot.settled.label if ballot.settled else ''}' in {taken}",
                expected="a label that no dataset has taken",
                do=f"everloop label adjudicate {prediction_id} LABEL",
            )
        db.execute(delete(_V).where(this, _V.c.annotator == annotator))
        known = ballot.votes.pop(annotator, None)
        if annotator in counting:
            db.execute(delete(_A).where(_A.c.prediction_id == prediction_id))
            db.execute(update(_K).where(_K.c.prediction_id == prediction_id).values(unsettled=True))
            db.execute(update(_V).where(this).values(counted=False))
            ballot.settle(len(counting))
            self._save(db, [ballot])
        return known is not None

    def settle(self, needed: int) -> int:
        """Settle what has enough votes since fewer are needed; returns how many tasks that were."""
        agree = [self._different == 1, needed <= self._given]
        query = select(_K.c.prediction_id).where(*unsettled(), *agree)
        query, done = query.order_by(_K.c.prediction_id).limit(SOME), 0
        while True:
            with self._write() as db:
                found = list(db.execute(query.with_for_update()).scalars())
                ballots = self._ballots(db, found)
                for ballot in ballots.values():
                    ballot.settle(needed)
                self._save(db, ballots.values())
            done += len(found)
            if len(found) < SOME:
                return done

    def _ballots(self, db: Connection, prediction_ids: Sequence[str]) -> dict[str, Ballot]:
        """What was said of these tasks, as far as they are tasks. They are locked, in one order for all
        so that no two writers wait for each other: votes on a task come one after another."""
        ids = self._lock(db, prediction_ids)
        ballots = {i: Ballot(i) for i in ids}
        for part in parts(ids):
            settled = select(*with_label(_A, self._called(_A.c.label)))
            for r in db.execute(settled.where(_A.c.prediction_id.in_(part))):
                ballots[r.prediction_id].settled = Annotation(*r[:4])
            for r in db.execute(self._said().where(_V.c.prediction_id.in_(part))):
                ballots[r.prediction_id].votes[r.annotator] = Vote(*r[:5])
        return ballots

    def _save(self, db: Connection, ballots: Iterable[Ballot]) -> None:
        """Write what was cast, and what that settled."""
        cast = list(ballots)
        new = [{**asdict(b.votes[a]), "counted": False} for b in cast for a in b.new]
        self._replace(db, _V, new)
        ended = [{"i": b.prediction_id, "a": a} for b in cast for a in b.ended]
        if ended:
            mine = (_L.c.prediction_id == bindparam("i")) & (_L.c.annotator == bindparam("a"))
            db.execute(delete(_L).where(mine), ended)
        self._insert(db, _A, [asdict(b.settled) for b in cast if b.made and b.settled])
        for part in parts(b.prediction_id for b in cast if b.made):
            db.execute(update(_K).where(_K.c.prediction_id.in_(part)).values(unsettled=False))
            counted = [_V.c.prediction_id.in_(part), self._held(_V.c.label).is_not(None)]
            db.execute(update(_V).where(*counted).values(counted=True))

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


def unsettled() -> list[ColumnElement[bool]]:
    return [_K.c.unsettled.is_(True), ~select(_A).where(same(_A, _K)).exists()]


def _of(ballots: Mapping[str, Ballot], prediction_id: str) -> Ballot:
    """Raises LabelError for what is no task."""
    if prediction_id not in ballots:
        raise LabelError("no task for this prediction id", where=prediction_id)
    return ballots[prediction_id]
