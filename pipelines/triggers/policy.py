"""What every trigger looks at, and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.params import Section
from core.records import Decision, Signal


@dataclass(frozen=True)
class Situation:
    """What is known when somebody asks: is it time to retrain?"""

    now: datetime
    last_retrain: datetime  # of the first model, if there was none since
    new_labels: int  # labels for training that no dataset version has yet
    alerts: list[Decision]  # since the last retrain, oldest first
    signals: list[Signal]  # of the newest window

    @property
    def age(self) -> timedelta:
        return self.now - self.last_retrain

    def signal(self, name: str) -> Signal | None:
        """The newest value of a signal over the whole window, where there is one."""
        found = [s for s in self.signals if s.name == name and not s.segment and s.value is not None]
        return found[-1] if found else None


class Trigger(Section):
    """Says whether it is time to retrain, and why."""

    policy: str

    def decide(self, situation: Situation) -> Decision:
        raise NotImplementedError

    def answer(self, situation: Situation, fires: bool, reason: str, **evidence: Any) -> Decision:
        return Decision(
            key=f"trigger/{situation.now.isoformat()}",
            stage="triggers",
            timestamp=situation.now,
            verdict="retrain" if fires else "wait",
            reason=f"{self.policy}: {reason}",
            evidence=evidence,
        )


def days(delta: timedelta) -> float:
    return delta.total_seconds() / 86400
