"""`periodic`: retrain every so many days, whatever happened."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.records.decisions import Decision
from pipelines.triggers.trigger import Situation, Trigger, in_days


class Periodic(Trigger):
    policy: Literal["periodic"]
    every_days: float = Field(7, gt=0, description="days between retrains")

    def decide(self, situation: Situation) -> Decision:
        age = in_days(situation.age)
        reason = f"{age:.1f} days since the last retrain, due every {self.every_days:g}"
        return self.answer(situation, age >= self.every_days, reason, age_days=age)
