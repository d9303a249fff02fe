"""One task's votes in memory: what one more of them changes, and whether that settles the task.

Many votes are read at once, cast here one after the other, and written at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.errors import LabelError
from core.records import Annotation, TaskState, Vote


@dataclass
class Ballot:
    """Labels are as they are called; a vote under a label that is gone has none."""

    prediction_id: str
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
        if self.settled and _contradicts(vote, said, self.settled):
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
        if len({v.label for v in votes}) > 1:
            return "disputed"
        if len(votes) < needed:
            return "waiting" if votes else "skipped"
        names, when = ", ".join(v.annotator for v in votes), max(v.timestamp for v in votes)
        self.settled = Annotation(self.prediction_id, str(votes[0].label), names, when)
        self.made = True
        return "done"


def _contradicts(vote: Vote, said: str | None, settled: Annotation) -> bool:
    """Whether it changes what was said before the task was settled, or says otherwise after."""
    return vote.label != said if said is not None else vote.label not in (None, settled.label)


def _too_late(vote: Vote, settled: Annotation) -> LabelError:
    said = "skipped" if vote.label is None else f"'{vote.label}'"
    return LabelError(
        f"this prediction is already labelled '{settled.label}'",
        where=vote.prediction_id,
        got=f"{said} by {vote.annotator}",
        expected=f"'{settled.label}', which {settled.annotator} said",
        do=f"everloop label adjudicate {vote.prediction_id} LABEL",
    )
