"""What every trigger looks at, and what it answers with."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from numbers import Integral
from typing import Annotated, Any, Literal

from pydantic import Field

from core.evidence import AlertEvidence, TriggerEvidence
from core.params import Section
from core.plugins import of
from core.records.decisions import Decision
from core.records.signals import Signal
from core.returned import shown, wrong

VERDICTS = ("retrain", "suggest", "wait")
OF_MODEL = "model_version="  # the segment of what one model answered


@dataclass(frozen=True)
class PromisedAccuracy:
    """What the champion got wrong on the evaluation set: the error it was promoted with."""

    wrong: int
    rows: int


@dataclass(frozen=True)
class Round:
    """What one curation round's labels say of the champion's answers it drew from."""

    timestamp: datetime
    answers: float  # requests of the round that the champion answered
    share: float  # labels asked for, of the requests
    wrong: tuple[float, ...]  # chance of being picked, of each labelled pick that is wrong
    labels: int  # picks labelled so far
    picks: int

    @property
    def error(self) -> float:
        """Share of wrong answers, each seen standing for 1 / chance (Horvitz and Thompson 1952)."""
        return sum(1 / p for p in self.wrong) / self.answers if self.answers else 0.0


@dataclass(frozen=True)
class Retrain:
    """What a past retrain took and gave."""

    timestamp: datetime
    labels: int  # new labels it learnt from
    gain: float | None = None  # accuracy of candidate minus champion where tested; None: not tested
    shortfall: float | None = None  # accuracy that was missing when it was asked for, where known
    seconds: float | None = None  # that its training took, where known


@dataclass(frozen=True)
class Situation:
    """What is known when somebody asks: is it time to retrain?"""

    now: datetime
    last_retrain: datetime  # of the first model, if there was none since
    new_labels: int  # labels for training that no dataset version has yet
    alerts: list[Decision]  # since the last retrain, oldest first
    signals: list[Signal]  # of the newest window
    promise: PromisedAccuracy | None = None  # of the champion
    rounds: list[Round] = field(default_factory=list)  # of the champion since the last retrain
    asked: Decision | None = None  # what a trigger said that the last retrain followed
    retrains: list[Retrain] = field(default_factory=list)  # oldest first
    requests_per_day: float = 0.0
    truth: str = "label"  # what people say, in the task's words

    @property
    def age(self) -> timedelta:
        return self.now - self.last_retrain

    def signal(self, name: str) -> Signal | None:
        """The newest value of a signal over the whole window, where there is one."""
        found = [s for s in self.signals if s.name == name and not s.segment and s.value is not None]
        return found[-1] if found else None

    def of_model(self, name: str) -> Signal | None:
        """The same over the answers of the model that serves."""
        found = [s for s in self.signals if s.name == name and s.segment.startswith(OF_MODEL)]
        found = [s for s in found if s.value is not None]
        return found[-1] if found else None


class Trigger(Section):
    """Says whether it is time to retrain, and why."""

    policy: str
    mode: Literal["act", "suggest"] = Field(
        "act", description="suggest stores the decision and retrains nothing"
    )

    @abstractmethod
    def decide(self, situation: Situation) -> Decision:
        """Whether to retrain now, and why: what `answer` returns."""

    def labels_wanted(self, _situation: Situation, /) -> int:
        """How many labels of today's budget to draw uniformly, as evidence for the next decision."""
        return 0

    def answer(self, situation: Situation, fires: bool, reason: str, **evidence: Any) -> Decision:
        fired = "retrain" if self.mode == "act" else "suggest"
        return Decision(
            key=f"trigger/{situation.now.isoformat()}",
            stage="triggers",
            timestamp=situation.now,
            verdict=fired if fires else "wait",
            reason=f"{self.policy}: {reason}",
            evidence=TriggerEvidence.of(evidence),
        )


TriggerPolicy = Annotated[Trigger, of(Trigger)]


def decided(trigger: Trigger, situation: Situation) -> Decision:
    """What a trigger decides. Raises PolicyError where it is no decision of this stage and time."""
    found: Any = trigger.decide(situation)
    expected = "what self.answer(situation, fires, reason, **numbers) returns"
    if not isinstance(found, Decision):
        wrong(trigger, "decide", shown(found), expected)
    given = (found.stage, found.timestamp, type(found.reason))
    if given != ("triggers", situation.now, str) or found.verdict not in VERDICTS:
        wrong(trigger, "decide", shown(found), expected)
    try:
        json.dumps(found.evidence.stored(), allow_nan=False)
    except (TypeError, ValueError) as fault:
        wrong(trigger, "decide", f"numbers that JSON cannot hold: {fault}", expected)
    return found


def labels_wanted(trigger: Trigger, situation: Situation) -> int:
    """The labels a trigger wants drawn for a test. Raises PolicyError."""
    found: Any = trigger.labels_wanted(situation)
    if not isinstance(found, Integral) or isinstance(found, bool) or found < 0:
        wrong(trigger, "labels_wanted", shown(found), "a whole number from 0 up")
    return int(found)


def alarms(situation: Situation, *kinds: str) -> list[Decision]:
    """The alerts of these kinds that were raised since the last retrain, oldest first.

    One that is over still counts: against a reference that slides along, a change that stays is over
    as soon as the reference has seen enough of it.
    """
    return [a for a in situation.alerts if a.verdict == "alert" and a.read(AlertEvidence).kind in kinds]


def last_seen(alert: Decision) -> datetime:
    """End of the last window in which what it tells of was so."""
    return alert.read(AlertEvidence).last or alert.timestamp


def in_days(delta: timedelta) -> float:
    return delta.total_seconds() / 86400
