"""The annotation queue: who has which task, what they say of it, and when that settles it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, text

from core import schema
from core.database import Database, insert_new, is_postgres, parts, upsert
from core.errors import LabelError
from core.records.labels import BY_HAND, AnnotationTask, Progress, TaskState, Vote
from core.store.ballots import ballot_of, read_ballots, said, save_ballots, take_back
from core.store.naming import Naming
from core.store.scores import score_columns, score_of, with_scores
from core.store.task_states import different, free, given, wanting
from core.store.task_states import state as state_of
from core.store.tasks import as_task, close_tasks, same, task_rows, unsettled

SOME = 500  # tasks that are settled in one transaction
STATES: tuple[TaskState, ...] = ("open", "leased", "waiting", "disputed", "done", "skipped")
_K, _V, _L, _U = schema.tasks, schema.votes, schema.leases, schema.unconfirmed


@dataclass(frozen=True)
class Pick:
    """One of a model's answers that was picked for a label."""

    timestamp: datetime  # of the round
    chance: float  # that it was kept by the log and picked
    score: float | None  # None while nobody labelled it


@dataclass
class QueueRepository:
    """Tasks, who has them before them, and the votes on them: one vote an annotator; a task is settled
    when enough votes agree."""

    database: Database
    naming: Naming

    def add(self, tasks: Sequence[AnnotationTask]) -> None:
        known = {c.name for c in schema.tasks.columns}
        with self.database.write() as db:
            rows = [{k: v for k, v in asdict(t).items() if k in known} for t in tasks]
            insert_new(db, schema.tasks, rows)
            close_tasks(db, [t.prediction_id for t in tasks])

    def open(self) -> list[AnnotationTask]:
        """Tasks without an annotation, oldest first, with text, the model's guess and the request."""
        query = task_rows(self.naming).where(*unsettled())
        return self.database.records(query, AnnotationTask)

    def picked(self, start: datetime, end: datetime) -> int:
        """How many tasks were picked in [start, end): what a label budget counts."""
        t = schema.tasks
        query = select(func.count()).select_from(t).where(t.c.timestamp >= start, t.c.timestamp < end)
        return int(self.database.value(query))

    def picks(self, model_version: str, after: datetime, until: datetime) -> list[Pick]:
        """The answers of a version that were picked in (after, until], in order."""
        k, p, a = schema.tasks, schema.predictions, schema.annotations
        query = (
            select(k.c.timestamp, (k.c.propensity * p.c.propensity).label("chance"))
            .add_columns(*score_columns(self.naming))
            .select_from(with_scores(k.join(p, same(k, p)).outerjoin(a, same(a, k)), self.naming))
            .where(k.c.timestamp > after, k.c.timestamp <= until, p.c.model_version == model_version)
            .where(k.c.policy.not_in(BY_HAND))
            .order_by(k.c.timestamp, k.c.prediction_id)
        )
        return [
            Pick(t, float(chance), score_of(self.naming.task, *known))
            for t, chance, *known in self.database.rows(query)
        ]

    def ids(self, prediction_ids: Sequence[str]) -> set[str]:
        """Which of these predictions are tasks."""
        t = schema.tasks.c.prediction_id
        return {row[0] for row in self.database.among(select(t), t, prediction_ids)}

    def tasks(self, prediction_ids: Sequence[str]) -> dict[str, AnnotationTask]:
        """These tasks by their prediction, as far as the log has it still."""
        rows = self.database.among(task_rows(self.naming), _K.c.prediction_id, prediction_ids)
        return {r.prediction_id: as_task(r) for r in rows}

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
        wanted = task_rows(self.naming).where(*free(self.naming, annotator, now, votes_needed))
        with self.database.write() as db:
            _lock_leases(db)
            db.execute(delete(_L).where(_L.c.until <= now, others))
            got = [as_task(r) for r in db.execute(wanted.where(had).limit(n))]
            if len(got) < n:
                got += [as_task(r) for r in db.execute(wanted.where(~had).limit(n - len(got)))]
            rows = [{"prediction_id": t.prediction_id, "annotator": annotator} for t in got]
            upsert(db, _L, [{**row, "until": until} for row in rows])
        return got

    def unvote(
        self, prediction_id: str, annotator: str, now: datetime, until: datetime, votes_needed: int = 1
    ) -> None:
        """Take a vote back, and the annotation that stands on it, where not as many others agree; what
        was never said is harmless. The task is its annotator's again until then, unless others have it
        by now. Raises LabelError when a dataset has that annotation already."""
        wanted = [_K.c.prediction_id == prediction_id, *free(self.naming, annotator, now, votes_needed)]
        with self.database.write() as db:
            had = take_back(db, self.naming, prediction_id, annotator)
            _lock_leases(db)  # after the task, as a vote does
            if had and db.execute(select(_K.c.prediction_id).where(*wanted)).first():
                row = {"prediction_id": prediction_id, "annotator": annotator, "until": until}
                upsert(db, _L, [row])

    def state(self, now: datetime) -> dict[TaskState, int]:
        """How many tasks are in each state."""
        state = state_of(self.naming, now).label("state")
        query = select(state, func.count()).select_from(_K).where(*unsettled()).group_by(state)
        with self.database.read() as db:  # both of one moment
            found = {r[0]: int(r[1]) for r in db.execute(query)}
            asked = int(db.execute(select(func.count()).select_from(_K)).scalar_one())
        found["done"] = asked - sum(found.values())
        return {s: found.get(s, 0) for s in STATES}

    def progress(self, annotator: str) -> Progress:
        """How far an annotator is."""
        mine = select(func.count(_V.c.label), func.count()).where(_V.c.annotator == annotator)
        left = select(func.count()).select_from(_K).where(*wanting(self.naming, annotator))
        with self.database.read() as db:
            labelled, said = db.execute(mine).one()
            return Progress(int(labelled), int(said - labelled), int(db.execute(left).scalar_one()))

    def vote(self, vote: Vote, needed: int) -> TaskState:
        """Store a vote and, where `needed` labels agree now, the task's annotation; the lease ends.

        The same vote again is harmless, another one of the same annotator replaces it. Raises
        LabelError, and stores nothing: no such task, or it is settled with another label.
        """
        state = self.vote_all([vote], needed)[0]
        if isinstance(state, LabelError):
            raise state
        return state

    def vote_all(
        self, votes: Sequence[Vote], needed: int, replace: bool = True
    ) -> list[TaskState | LabelError]:
        """Many votes in one transaction; those that cannot be taken give why, see `vote`. Without
        `replace`, another label of the same annotator is one of them."""
        found: list[TaskState | LabelError] = []
        with self.database.write() as db:
            ballots = read_ballots(db, self.naming, [v.prediction_id for v in votes])
            for vote in votes:
                try:
                    found.append(ballot_of(ballots, vote.prediction_id).cast(vote, needed, replace))
                except LabelError as why:
                    found.append(why)
            save_ballots(db, self.naming, ballots.values())
        return found

    def settle(self, needed: int) -> int:
        """Settle what has enough votes since fewer are needed; returns how many tasks that were."""
        agree = [different(self.naming) == 1, needed <= given(self.naming)]
        query = select(_K.c.prediction_id).where(*unsettled(), *agree)
        query, done = query.order_by(_K.c.prediction_id).limit(SOME), 0
        while True:
            with self.database.write() as db:
                found = list(db.execute(query.with_for_update()).scalars())
                ballots = read_ballots(db, self.naming, found)
                for ballot in ballots.values():
                    ballot.settle(needed)
                save_ballots(db, self.naming, ballots.values())
            done += len(found)
            if len(found) < SOME:
                return done

    def votes(self, prediction_ids: Sequence[str]) -> list[Vote]:
        """What was said of these tasks, by task and annotator."""
        found: list[Vote] = []
        for part in parts(sorted(set(prediction_ids))):
            query = said(self.naming).where(_V.c.prediction_id.in_(part))
            found += self.database.records(query.order_by(_V.c.prediction_id, _V.c.annotator), Vote)
        return found

    def all_votes(self) -> list[Vote]:
        """Everything that was said, by task and annotator."""
        return self.database.records(
            said(self.naming).order_by(_V.c.prediction_id, _V.c.annotator), Vote
        )

    def said_since(self, annotator: str, since: datetime) -> int:
        """Votes and skips of an annotator from this time on."""
        query = select(func.count()).where(_V.c.annotator == annotator, _V.c.timestamp >= since)
        return int(self.database.value(query))

    def put_aside(self, votes: Sequence[Vote]) -> None:
        """Store votes that wait; another one of the same annotator replaces the one that waited."""
        with self.database.write() as db:
            upsert(db, _U, [asdict(v) for v in votes])

    def waiting(self) -> list[Vote]:
        """The votes that wait, under their names in the label set."""
        found = self.database.records(select(_U).order_by(_U.c.prediction_id, _U.c.annotator), Vote)
        return [replace(v, label=self.naming.now(v.label)) for v in found]

    def let_go(self, votes: Sequence[Vote]) -> None:
        """These wait no longer: they were cast, or their annotators have said something else."""
        with self.database.write() as db:
            for v in votes:
                mine = (_U.c.prediction_id == v.prediction_id) & (_U.c.annotator == v.annotator)
                db.execute(delete(_U).where(mine))


def _lock_leases(db: Connection) -> None:
    if is_postgres(db):  # SQLite lets one write anyway
        db.execute(text("LOCK TABLE leases IN SHARE ROW EXCLUSIVE MODE"))
