"""The annotation queue: who has which task before them, what they say of it, and when that settles it.

A task's state is never stored, it is what its rows say:

    open       nobody has it, nobody said anything      leased    somebody has it before them
    waiting    the labels agree, more are needed        disputed  the labels differ
    skipped    somebody skipped it, nobody labelled it  done      it has its annotation
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, select, text
from sqlalchemy.dialects import postgresql

from core import schema
from core.records import AnnotationTask, Progress, TaskState
from core.store.labels import same
from core.store.votes import Votes, unsettled

STATES: tuple[TaskState, ...] = ("open", "leased", "waiting", "disputed", "done", "skipped")
_K, _V, _L, _A = schema.tasks, schema.votes, schema.leases, schema.annotations


class Queue(Votes):
    """Tasks handed out for a time."""

    def lease(
        self, annotator: str, now: datetime, until: datetime, n: int = 1, votes_needed: int = 1
    ) -> list[AnnotationTask]:
        """Up to `n` tasks for this annotator, theirs until then: first those they have already, so that
        a page loaded again shows the same one, then the oldest round's, in order of their requests.

        Audit tasks do not come first: who can tell them from the others labels them otherwise. Nobody
        else gets a task while the leases that run and the labels there are make `votes_needed`.
        """
        mine, others = _L.c.annotator == annotator, _L.c.annotator != annotator
        had = select(_L).where(same(_L, _K), mine).exists()
        free = self._tasks().where(*self._free(annotator, now, votes_needed))
        with self._write() as db:
            self._lock_leases(db)
            db.execute(delete(_L).where(_L.c.until <= now, others))
            got = [as_task(r) for r in db.execute(free.where(had).limit(n))]
            if len(got) < n:
                got += [as_task(r) for r in db.execute(free.where(~had).limit(n - len(got)))]
            rows = [{"prediction_id": t.prediction_id, "annotator": annotator} for t in got]
            self._replace(db, _L, [{**row, "until": until} for row in rows])
        return got

    def unvote(
        self, prediction_id: str, annotator: str, now: datetime, until: datetime, votes_needed: int = 1
    ) -> None:
        """Take a vote back, and the annotation that stands on it, where not as many others agree; what
        was never said is harmless. The task is its annotator's again until then, unless others have it
        by now. Raises LabelError when a dataset has that annotation already."""
        free = [_K.c.prediction_id == prediction_id, *self._free(annotator, now, votes_needed)]
        with self._write() as db:
            said = self._unvote(db, prediction_id, annotator)
            self._lock_leases(db)  # after the task, as a vote does
            if said and db.execute(select(_K.c.prediction_id).where(*free)).first():
                row = {"prediction_id": prediction_id, "annotator": annotator, "until": until}
                self._replace(db, _L, [row])

    def queue_state(self, now: datetime) -> dict[TaskState, int]:
        """How many tasks are in each state."""
        state = self._state(now).label("state")
        query = select(state, func.count()).select_from(_K).where(*unsettled()).group_by(state)
        with self._read() as db:
            found = {r[0]: int(r[1]) for r in db.execute(query)}
            asked = int(db.execute(select(func.count()).select_from(_K)).scalar_one())
        found["done"] = asked - sum(found.values())
        return {s: found.get(s, 0) for s in STATES}

    def progress(self, annotator: str) -> Progress:
        """How far an annotator is."""
        mine = select(func.count(_V.c.label), func.count()).where(_V.c.annotator == annotator)
        left = select(func.count()).select_from(_K).where(*self._wanting(annotator))
        with self._read() as db:
            labelled, said = db.execute(mine).one()
            return Progress(int(labelled), int(said - labelled), int(db.execute(left).scalar_one()))

    def _lock_leases(self, db: Connection) -> None:
        if self._dialect is postgresql:  # SQLite lets one write anyway
            db.execute(text("LOCK TABLE leases IN SHARE ROW EXCLUSIVE MODE"))

    def _free(self, annotator: str, now: datetime, votes_needed: int) -> list[ColumnElement[bool]]:
        """Tasks that this annotator may have: others who have them leave room for a vote."""
        running = [same(_L, _K), _L.c.annotator != annotator, _L.c.until > now]
        held = select(func.count()).where(*running).scalar_subquery()
        return [*self._wanting(annotator), (held == 0) | (held + self._given < votes_needed)]

    def _wanting(self, annotator: str) -> list[ColumnElement[bool]]:
        """Tasks on which this annotator's vote helps: where labels differ, one more settles nothing.
        Who said a label that is gone is asked again."""
        holds = _V.c.label.is_(None) | self._held(_V.c.label).is_not(None)
        said = select(_V).where(same(_V, _K), _V.c.annotator == annotator, holds)
        return [*unsettled(), self._different <= 1, ~said.exists()]

    def _state(self, now: datetime) -> ColumnElement[str]:
        leased = select(_L).where(same(_L, _K), _L.c.until > now).exists()
        skipped = select(_V).where(same(_V, _K), _V.c.label.is_(None)).exists()
        return case(
            (self._different > 1, "disputed"),
            (leased, "leased"),
            (self._different == 1, "waiting"),
            (skipped, "skipped"),
            else_="open",
        )


def as_task(row: Row[Any]) -> AnnotationTask:
    names = AnnotationTask.__dataclass_fields__
    return AnnotationTask(**{n: v for n, v in row._mapping.items() if n in names})
