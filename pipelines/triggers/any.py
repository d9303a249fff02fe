"""`any`: retrain when one of several triggers says so; the reason is that of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from core.records import Decision
from pipelines.triggers.policy import Situation, Trigger

if TYPE_CHECKING:
    from pipelines.triggers import TriggerPolicy


class AnyOf(Trigger):
    policy: Literal["any"]
    of: list[TriggerPolicy] = Field(..., min_length=1, description="the triggers to ask, in order")

    def decide(self, situation: Situation) -> Decision:
        answers = [t.decide(situation) for t in self.of]
        fired = [a for a in answers if a.verdict == "retrain"]
        return (
            fired[0] if fired else self.answer(situation, False, "; ".join(a.reason for a in answers))
        )
