"""Several triggers asked together: it fires when enough of them do."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from core.records.decisions import Decision
from pipelines.triggers.trigger import Situation, Trigger, TriggerPolicy, decided, labels_wanted

EXAMPLE = [
    {"policy": "periodic", "every_days": 3},
    {"policy": "labels", "at_least": 30},
    {"policy": "drift"},
]


class Several(Trigger):
    """A trigger that only suggests is heard, but a retrain needs enough that act."""

    of: list[TriggerPolicy] = Field(
        ..., min_length=1, description="the triggers to ask, in order", examples=[EXAMPLE]
    )

    @property
    @abstractmethod
    def needed(self) -> int:
        """How many of them must fire."""

    def decide(self, situation: Situation) -> Decision:
        answers = [decided(t, situation) for t in self.of]
        acting = sum(a.verdict == "retrain" for a in answers)
        firing = sum(a.verdict != "wait" for a in answers)
        mode = self.mode if acting >= self.needed else "suggest"
        words = "; ".join(a.reason for a in answers)
        asked = self.model_copy(update={"mode": mode})
        reason = f"{firing} of {len(answers)} fire, {self.needed} needed: {words}"
        each = [
            {"policy": t.policy, "verdict": a.verdict, **a.evidence.stored()}
            for t, a in zip(self.of, answers, strict=True)
        ]
        return asked.answer(situation, firing >= self.needed, reason, of=each)

    def labels_wanted(self, situation: Situation, /) -> int:
        return max(labels_wanted(t, situation) for t in self.of)
