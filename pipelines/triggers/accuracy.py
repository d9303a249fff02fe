"""`accuracy`: retrain when labelled traffic shows, beyond its own noise, that accuracy is too low."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.records import Decision
from pipelines.triggers.policy import Situation, Trigger


class Accuracy(Trigger):
    policy: Literal["accuracy"]
    floor: float = Field(0.8, ge=0, le=1, description="live accuracy below which to retrain")
    signal: Literal["accuracy.audit", "accuracy.ipw"] = Field(
        "accuracy.ipw",
        description="plain accuracy of audit rows, or propensity-weighted over all labels",
    )

    def decide(self, situation: Situation) -> Decision:
        seen = situation.signal(self.signal)
        if seen is None or seen.value is None or seen.high is None:
            return self.answer(situation, False, f"no {self.signal} for this window yet")
        low = f"{seen.low:.2f}" if seen.low is not None else "?"
        reason = (
            f"{self.signal} {seen.value:.2f} (95 % CI {low}..{seen.high:.2f}), floor {self.floor:g}"
        )
        return self.answer(situation, seen.high < self.floor, reason, value=seen.value, high=seen.high)
