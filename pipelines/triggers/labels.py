"""`labels`: retrain when enough new labels have come in to teach something."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.records.decisions import Decision
from pipelines.triggers.trigger import Situation, Trigger


class Labels(Trigger):
    policy: Literal["labels"]
    at_least: int = Field(72, ge=1, description="new training labels needed")

    def decide(self, situation: Situation) -> Decision:
        new = situation.new_labels
        reason = f"{new} new {situation.truth}s, {self.at_least} needed"
        return self.answer(situation, new >= self.at_least, reason, new_labels=new)
