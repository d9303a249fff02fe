"""`range`: fixed limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from core.records.signals import Signal
from monitoring.alerts.rules.base import Bad, Rule, Verdict, outside


class RangeRule(Rule):
    """Fixed limits; without any, the limit that the signal carries itself."""

    policy: Literal["range"]
    low: float | None = Field(None, description="bad below this")
    high: float | None = Field(None, description="bad above this")

    def judge(self, signal: Signal, bad: Bad | None, _history: Sequence[Signal], /) -> Verdict:
        low, high = self.low, self.high
        if low is None and high is None:
            low, high = own_limits(signal, bad)
        if bad == "whole":  # proven by the whole interval
            return outside(signal, signal.high, signal.low, low, high)
        return outside(signal, signal.value, signal.value, low, high)


def own_limits(signal: Signal, bad: Bad | None) -> tuple[float | None, float | None]:
    """(low, high) that a signal carries as its baseline."""
    low = signal.baseline if bad in ("below", "whole") else None
    return low, signal.baseline if bad == "above" else None
