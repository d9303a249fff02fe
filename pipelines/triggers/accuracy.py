"""`accuracy`: retrain when labelled traffic shows, beyond its own noise, that accuracy is too low.

It asks about the answers that the model which serves now has given: those of the one before are no
reason to retrain again. Without a label of its answers it waits.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from core.records.decisions import Decision
from pipelines.triggers.trigger import Situation, Trigger, in_days

WAIT_DAYS = 3  # after a retrain: its model is on its way, and labels of its answers are still to come
FORMER = ("accuracy.audit", "accuracy.ipw")


class Accuracy(Trigger):
    policy: Literal["accuracy"]
    floor: float = Field(0.8, ge=0, le=1, description="live accuracy below which to retrain")

    @model_validator(mode="before")
    @classmethod
    def _one_accuracy(cls, given: Any) -> Any:
        """Older versions had several, and `signal` said which; `everloop check` tells of it."""
        if isinstance(given, dict) and str(given.get("signal", "")) in FORMER:
            return {key: value for key, value in given.items() if key != "signal"}
        return given

    def decide(self, situation: Situation) -> Decision:
        seen = situation.of_model("accuracy")
        if seen is None or seen.value is None or seen.high is None:
            reason = "no accuracy of the answers of the model that serves yet"
            return self.answer(situation, False, reason)
        low = f"{seen.low:.2f}" if seen.low is not None else "?"
        said = f"{seen.value:.2f} (95 % CI {low}..{seen.high:.2f}), floor {self.floor:g}"
        fires, age = seen.high < self.floor, in_days(situation.age)
        if fires and age < WAIT_DAYS:
            fires, said = False, f"{said}, but the last retrain was {age:.1f} days ago"
        return self.answer(situation, fires, said, value=seen.value, high=seen.high)
