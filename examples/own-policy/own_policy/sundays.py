"""Is it time to retrain? Here: on Sundays, when the shop is closed, if there is something to learn."""

from __future__ import annotations

from pydantic import Field

from core.records.decisions import Decision
from pipelines.triggers.trigger import Situation, Trigger

SUNDAY = 6


class Sundays(Trigger):
    """Retrain on a Sunday with enough new labels."""

    at_least: int = Field(20, ge=1, description="new labels that a retrain needs")

    def decide(self, situation: Situation) -> Decision:
        sunday = situation.now.weekday() == SUNDAY
        reason = f"{situation.new_labels} new labels on a {situation.now:%A}, {self.at_least} needed"
        enough = situation.new_labels >= self.at_least
        return self.answer(situation, sunday and enough, reason, new_labels=situation.new_labels)
