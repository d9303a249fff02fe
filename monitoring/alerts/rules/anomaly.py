"""`anomaly`: a value far from those of the last days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from core.records.signals import Signal
from monitoring.alerts.rules.base import Bad, Verdict
from monitoring.alerts.rules.history import FromHistory, known, spread

HISTORY = timedelta(days=28)  # that it looks back
MIN_VALUES = 14  # without which it says nothing


class AnomalyRule(FromHistory):
    """The modified z-score of a value among those of the last days."""

    memory: ClassVar[timedelta] = HISTORY

    policy: Literal["anomaly"]
    score: float = Field(3.5, gt=0, description="modified z-score beyond which a value is bad")

    def judge(self, signal: Signal, bad: Bad | None, history: Sequence[Signal], /) -> Verdict:
        """0.6745 (x - median) / MAD, and 3.5 as its limit: Iglewicz and Hoaglin, How to Detect and
        Handle Outliers (1993), 3.3."""
        values = np.array([s.value for s in known(history)], dtype=float)
        if len(values) < MIN_VALUES:
            need = f"{MIN_VALUES} values needed"
            return Verdict(False, f"not enough history: {len(values)}; {need}")
        middle = float(np.median(values))
        reach = self.score * spread(values - middle)
        basis = f"usual in the last {len(values)} values"
        return self.around(signal, middle, reach, bad, basis)
