"""One task's votes in memory: what one more of them changes, and whether that settles the task.

Many votes are read at once, cast here one after the other, and written at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, select, update

from core import schema
from core.database import insert_new, parts, upsert
from core.errors import LabelError
from core.records.labels import Annotation, Kind, TaskState, Vote
from core.store.naming import Naming, with_label
from core.store.scores import write_scores
from core.store.tasks import lock_tasks

_K, _V, _L, _A = schema.tasks, schema.votes, schema.leases, schema.annotations


@dataclass
class Ballot:
    """Labels are as they are called; a vote under a label that is gone has none."""

    prediction_id: str
    agree: Callable[[str, str], bool]  # see Task.agree
    kind: Kind
    votes: dict[str, Vote] = field(default_factory=dict)  # by annotator
    settled: Annotation | None = None
    new: set[str] = field(default_factory=set)  # annotators whose votes are to be written
    ended: set[str] = field(default_factory=set)  # annotators whose leases end
    made: bool = False  # the annotation is to be written

    def cast(self, vote: Vote, needed: int, replace: bool) -> TaskState:
        """Take a vote. Raises LabelError, and changes nothing: it comes too late or, without `replace`,
        the annotator has said something else."""
        known = self.votes.get(vote.annotator)
        said = known.label if known else None
        if self.settled and self._contradicts(vote, said, self.settled):
            raise _too_late(vote, self.settled)
        if said and said != vote.label and not replace:
            raise LabelError(
                f"{vote.annotator} has labelled it '{said}'",
                where=vote.prediction_id,
                got=f"'{vote.label}'",
                expected="one label an annotator",
            )
        news = known is None or (vote.label, vote.note) != (known.label, known.note)
        if news and not (self.settled and said):
            self.votes[vote.annotator] = vote
            self.new.add(vote.annotator)
        self.ended.add(vote.annotator)
        return "done" if self.settled else self.settle(needed)

    def settle(self, needed: int) -> TaskState:
        """The state of a task that was not settled, which it may be now."""
        votes = [v for _, v in sorted(self.votes.items()) if v.label is not None]
        if not all(self.agree(str(votes[0].label), str(v.label)) for v in votes):
            return "disputed"
        if len(votes) < needed:
            return "waiting" if votes else "skipped"
        names, when = ", ".join(v.annotator for v in votes), max(v.timestamp for v in votes)
        self.settled = Annotation(self.prediction_id, str(votes[0].label), names, when, self.kind)
        self.made = True
        return "done"

    def _contradicts(self, vote: Vote, said: str | None, settled: Annotation) -> bool:
        """Whether it changes what was said before the task was settled, or says otherwise after."""
        if said is not None:
            return vote.label != said
        return vote.label is not None and not self.agree(vote.label, settled.value)


def _too_late(vote: Vote, settled: Annotation) -> LabelError:
    said = "skipped" if vote.label is None else f"'{vote.label}'"
    return LabelError(
        f"this prediction is already labelled '{settled.value}'",
        where=vote.prediction_id,
        got=f"{said} by {vote.annotator}",
        expected=f"'{settled.value}', which {settled.annotator} said",
        do=f"everloop label adjudicate {vote.prediction_id} LABEL",
    )


def read_ballots(db: Connection, naming: Naming, prediction_ids: Sequence[str]) -> dict[str, Ballot]:
    """What was said of these tasks, as far as they are tasks. They are locked, in one order for all
    so that no two writers wait for each other: votes on a task come one after another."""
    ids = lock_tasks(db, prediction_ids)
    ballots = {i: Ballot(i, naming.task.agree, naming.task.kind) for i in ids}
    for part in parts(ids):
        settled = select(*with_label(_A, naming.called(_A.c.value)))
        for r in db.execute(settled.where(_A.c.prediction_id.in_(part))):
            ballots[r.prediction_id].settled = Annotation(
                r.prediction_id, r.value, r.annotator, r.timestamp, r.kind
            )
        for r in db.execute(said(naming).where(_V.c.prediction_id.in_(part))):
            ballots[r.prediction_id].votes[r.annotator] = Vote(*r[:5])
    return ballots


def save_ballots(db: Connection, naming: Naming, ballots: Iterable[Ballot]) -> None:
    """Write what was cast, and what that settled."""
    cast = list(ballots)
    new = [{**asdict(b.votes[a]), "counted": False} for b in cast for a in b.new]
    upsert(db, _V, new)
    ended = [{"i": b.prediction_id, "a": a} for b in cast for a in b.ended]
    if ended:
        mine = (_L.c.prediction_id == bindparam("i")) & (_L.c.annotator == bindparam("a"))
        db.execute(delete(_L).where(mine), ended)
    insert_new(db, _A, [asdict(b.settled) for b in cast if b.made and b.settled])
    write_scores(db, naming, [b.prediction_id for b in cast if b.made])
    for part in parts(b.prediction_id for b in cast if b.made):
        db.execute(update(_K).where(_K.c.prediction_id.in_(part)).values(unsettled=False))
        counted = [_V.c.prediction_id.in_(part), naming.held(_V.c.label).is_not(None)]
        db.execute(update(_V).where(*counted).values(counted=True))


def take_back(db: Connection, naming: Naming, prediction_id: str, annotator: str) -> bool:
    """Take a vote back, see `QueueRepository.unvote`; whether there was one."""
    ballot = ballot_of(read_ballots(db, naming, [prediction_id]), prediction_id)
    this = _V.c.prediction_id == prediction_id
    counting = set(db.execute(select(_V.c.annotator).where(this, _V.c.counted)).scalars())
    partition = select(_A.c.partition).where(_A.c.prediction_id == prediction_id)
    if annotator in counting and (taken := db.execute(partition).scalar()) is not None:
        raise LabelError(
            "a dataset has taken this label",
            where=prediction_id,
            got=f"'{ballot.settled.value if ballot.settled else ''}' in {taken}",
            expected="a label that no dataset has taken",
            do=f"everloop label adjudicate {prediction_id} LABEL",
        )
    db.execute(delete(_V).where(this, _V.c.annotator == annotator))
    known = ballot.votes.pop(annotator, None)
    if annotator in counting:
        db.execute(delete(_A).where(_A.c.prediction_id == prediction_id))
        db.execute(update(_K).where(_K.c.prediction_id == prediction_id).values(unsettled=True))
        db.execute(update(_V).where(this).values(counted=False))
        write_scores(db, naming, [prediction_id])
        ballot.settle(len(counting))
        save_ballots(db, naming, [ballot])
    return known is not None


def said(naming: Naming) -> Select[Any]:
    """Votes; one under a label that is gone has none."""
    return select(*with_label(_V, naming.held(_V.c.label)))


def ballot_of(ballots: Mapping[str, Ballot], prediction_id: str) -> Ballot:
    """Raises LabelError for what is no task."""
    if prediction_id not in ballots:
        raise LabelError("no task for this prediction id", where=prediction_id)
    return ballots[prediction_id]
