"""What people are asked, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["label", "demonstration"]  # of a truth: a name, or the answer as it should have been
TaskState = Literal["open", "leased", "waiting", "disputed", "done", "skipped"]
TOPIC = "topic"  # policy of tasks drawn from a group of rows
VERIFY = "verify"  # policy of tasks that check what a user said
CHECK = "check"  # policy of tasks that look into a suspicion that what is right has changed
BY_HAND = (TOPIC, VERIFY, CHECK)  # tasks whose chance is none over all traffic


@dataclass(frozen=True)
class AnnotationTask:
    """A prediction chosen for a label, with the chance it had of being chosen."""

    prediction_id: str
    timestamp: datetime  # when it was picked
    round: str  # the curation round, e.g. 2026-01-08
    policy: str
    propensity: float  # inclusion probability in (0, 1]
    audit: bool  # drawn uniformly; grows the evaluation set, never trains
    text: str = ""
    predicted: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class Annotation:
    """The truth about one prediction, as somebody saw it."""

    prediction_id: str
    value: str  # a label, where that is its kind
    annotator: str
    timestamp: datetime
    kind: Kind = "label"


@dataclass(frozen=True)
class Vote:
    """What one annotator says of one task. A skip is a vote without a label; the note says why."""

    prediction_id: str
    annotator: str
    label: str | None
    timestamp: datetime
    note: str = ""


@dataclass(frozen=True)
class Review:
    """A label that looks wrong, and what it might be instead."""

    prediction_id: str
    timestamp: datetime  # when it was looked at
    label: str
    suggested: str
    score: float  # 0..1: how likely the label is, by a model that did not learn from it
    text: str


@dataclass(frozen=True)
class Dispute:
    """A task that only an adjudicator can settle: annotators differ, or its label looks wrong."""

    task: AnnotationTask
    votes: list[Vote]  # by annotator
    reason: str  # in words
    label: str = ""  # the label in doubt, where the task is settled already
    suggested: str = ""  # what it might be instead


@dataclass(frozen=True)
class Progress:
    """How far one annotator is."""

    labelled: int
    skipped: int
    left: int  # tasks that this annotator could still be given
