"""`predicted`: a range foretold from the season."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.records.signals import Signal
from monitoring.alerts.rules.base import Bad, Verdict
from monitoring.alerts.rules.history import DAY, FromHistory, known, spread

HISTORY = timedelta(weeks=8)  # that it looks back
MIN_WEEKS = 3  # without which it says nothing
NEAR = timedelta(hours=12)  # so near the same hour of another week is the same place in the season


class PredictedRule(FromHistory):
    """A range foretold from the same weekday and hour of past weeks, and the level of the last."""

    memory: ClassVar[timedelta] = HISTORY

    policy: Literal["predicted"]
    sd: float = Field(4.0, gt=0, description="standard deviations of its past errors that are usual")

    def judge(self, signal: Signal, bad: Bad | None, history: Sequence[Signal], /) -> Verdict:
        """Level: median of the week before. Season: median, over the weeks, of what the same weekday
        and hour lay above the level of its own time. Width: the same prediction made for each value of
        the past without that value, and how far off it was (median absolute error).
        """
        ages, values = _ages(signal, known(history))
        level, offsets = _level(0.0, ages, values), _offsets(ages, values)
        same = _slot(0.0, ages) & np.isfinite(offsets)
        if level is None or same.sum() < MIN_WEEKS:
            need = f"{MIN_WEEKS} weeks of the same weekday, and one before, needed"
            return Verdict(False, f"not enough history: {int(same.sum())}; {need}")
        middle = level + float(np.median(offsets[same]))
        reach = self.sd * spread(_errors(ages, offsets))
        basis = f"foretold from the same weekday of {int(same.sum())} weeks"
        return self.around(signal, middle, reach, bad, basis)


def _ages(signal: Signal, history: Sequence[Signal]) -> tuple[Array, Array]:
    """How many days before the signal each value was seen, and the values."""
    ages = [(signal.window_end - s.window_end) / DAY for s in history]
    return np.array(ages, dtype=float), np.array([s.value for s in history], dtype=float)


def _level(age: float, ages: Array, values: Array) -> float | None:
    """Median of the seven days before; every weekday is in it, so the season is not."""
    near = (ages > age + 1e-6) & (ages <= age + 7 + 1e-6)
    span = float(np.ptp(ages[near])) if near.any() else 0.0
    return float(np.median(values[near])) if near.sum() >= 3 and span >= 4 else None


def _offsets(ages: Array, values: Array) -> Array:
    """(n,) what each value lay above the level of its own time; NaN where there was none."""
    levels = [_level(a, ages, values) for a in ages]
    offsets: Array = values - np.array([np.nan if x is None else x for x in levels], dtype=float)
    return offsets


def _slot(age: float, ages: Array) -> Array:
    """(n,) True for the one value of each other week that is nearest to the same place in it."""
    weeks = np.round((ages - age) / 7)
    off = np.abs(ages - age - 7 * weeks)
    chosen: Array = np.zeros(len(ages), dtype=bool)
    for week in np.unique(weeks[(weeks != 0) & (off <= NEAR / DAY)]):
        here = np.flatnonzero(weeks == week)
        chosen[here[off[here].argmin()]] = True
    return chosen


def _errors(ages: Array, offsets: Array) -> Array:
    """What would have been wrong with each offset, foretold from those of the other weeks."""
    errors = []
    for age, offset in zip(ages, offsets, strict=True):
        others = offsets[_slot(age, ages)]
        others = others[np.isfinite(others)]
        if np.isfinite(offset) and len(others) >= 2:
            errors.append(offset - float(np.median(others)))
    return np.array(errors, dtype=float)
