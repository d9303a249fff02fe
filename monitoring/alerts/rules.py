"""What is bad: rules that hold a signal against fixed limits, its season, or its recent past.

Each rule judges one stored signal and what was stored of it before. `monitoring.rules` of params.yaml
puts rules on any signal, of all traffic or of one segment; a signal that knows its own limit (see
`Spec.bad`) is judged by that too, without being named there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from core.arrays import Array
from core.params import Section
from core.records.decisions import Severity
from core.records.signals import Signal

Bad = Literal["above", "below", "whole"]  # see Spec.bad
Side = Literal["above", "below", "both"]
WEEK, DAY = timedelta(weeks=1), timedelta(days=1)
HISTORY_WEEKS, MIN_WEEKS = 8, 3  # that `predicted` looks back, and without which it says nothing
HISTORY_DAYS, MIN_VALUES = 28, 14  # the same of `anomaly`
NEAR = timedelta(hours=12)  # so near the same hour of another week is the same place in the season
RENAMED = {  # what signals of older versions are called now
    f"accuracy.{old}": "accuracy"
    for old in ("audit", "ipw", "powered", "last.picks", "last.ipw", "last.powered")
}
MAD_TO_SD, MEAN_TO_SD = 1.4826, 1.2533  # of normal noise


@dataclass(frozen=True)
class Verdict:
    """Is it bad? `words` says what is wrong, or why nothing can be said."""

    broken: bool
    words: str = ""
    low: float | None = None  # what lies between `low` and `high` is fine
    high: float | None = None


class Rule(Section):
    """Judges a signal by what was stored of it in the `memory` before its window, oldest first."""

    memory: ClassVar = timedelta(0)

    policy: str
    signal: str = Field(min_length=1, description="which signal; `everloop signals` lists them")
    segment: str = Field("", description="one segment, as `plan=pro`; all traffic unless told")
    severity: Severity | None = Field(
        None, description="info, warning or critical; by the kind of signal unless told"
    )

    @field_validator("signal")
    @classmethod
    def _spelt(cls, name: str) -> str:
        name = RENAMED.get(name, name)
        near = misspelt(name)
        if near:
            raise ValueError(f"a known signal; did you mean '{near}'?")
        return name

    @abstractmethod
    def judge(self, signal: Signal, bad: Bad | None, history: Sequence[Signal]) -> Verdict:
        """Whether the signal is bad."""


class _Usual(Rule):
    """A range around what is usual."""

    side: Side | None = Field(None, description="above, below or both; the signal's own unless told")
    least: float = Field(0.0, ge=0, description="distance from it too small to matter")

    def around(
        self, signal: Signal, bad: Bad | None, middle: float, reach: float, basis: str
    ) -> Verdict:
        own: Side = "both" if bad is None else "above" if bad == "above" else "below"
        side, reach = self.side or own, max(reach, self.least)
        reach += 1e-9 * max(1.0, abs(middle))  # a constant is not broken by its own rounding
        low = middle - reach if side != "above" else None
        high = middle + reach if side != "below" else None
        found = _outside(signal, signal.value, signal.value, low, high)
        return replace(found, words=f"{found.words}, {basis}") if found.broken else found


class RangeRule(Rule):
    """Fixed limits; without any, the limit that the signal carries itself."""

    policy: Literal["range"]
    low: float | None = Field(None, description="bad below this")
    high: float | None = Field(None, description="bad above this")

    def judge(self, signal: Signal, bad: Bad | None, _history: Sequence[Signal]) -> Verdict:
        low, high = self.low, self.high
        if low is None and high is None:
            low, high = own_limits(signal, bad)
        if bad == "whole":  # proven by the whole interval
            return _outside(signal, signal.high, signal.low, low, high)
        return _outside(signal, signal.value, signal.value, low, high)


class PredictedRule(_Usual):
    """A range foretold from the same weekday and hour of past weeks, and the level of the last."""

    memory: ClassVar = HISTORY_WEEKS * WEEK

    policy: Literal["predicted"]
    sd: float = Field(4.0, gt=0, description="standard deviations of its past errors that are usual")

    def judge(self, signal: Signal, bad: Bad | None, history: Sequence[Signal]) -> Verdict:
        """Level: median of the week before. Season: median, over the weeks, of what the same weekday
        and hour lay above the level of its own time. Width: the same prediction made for each value of
        the past without that value, and how far off it was (median absolute error).
        """
        known = _known(history)
        ages, values = _ages(signal, known)
        level, offsets = _level(0.0, ages, values), _offsets(ages, values)
        same = _slot(0.0, ages) & np.isfinite(offsets)
        if level is None or same.sum() < MIN_WEEKS:
            need = f"{MIN_WEEKS} weeks of the same weekday, and one before, needed"
            return Verdict(False, f"not enough history: {int(same.sum())}; {need}")
        middle = level + float(np.median(offsets[same]))
        reach = self.sd * spread(_errors(ages, offsets))
        basis = f"foretold from the same weekday of {int(same.sum())} weeks"
        return self.around(signal, bad, middle, reach, basis)


class AnomalyRule(_Usual):
    """The modified z-score of a value among those of the last days."""

    memory: ClassVar = HISTORY_DAYS * DAY

    policy: Literal["anomaly"]
    score: float = Field(3.5, gt=0, description="modified z-score beyond which a value is bad")

    def judge(self, signal: Signal, bad: Bad | None, history: Sequence[Signal]) -> Verdict:
        """0.6745 (x - median) / MAD, and 3.5 as its limit: Iglewicz and Hoaglin, How to Detect and
        Handle Outliers (1993), 3.3."""
        values = np.array([s.value for s in _known(history)], dtype=float)
        if len(values) < MIN_VALUES:
            need = f"{MIN_VALUES} values needed"
            return Verdict(False, f"not enough history: {len(values)}; {need}")
        middle = float(np.median(values))
        basis = f"usual in the last {len(values)} values"
        return self.around(signal, bad, middle, self.score * spread(values - middle), basis)


AnyRule = Annotated[RangeRule | PredictedRule | AnomalyRule, Field(discriminator="policy")]


def own_limits(signal: Signal, bad: Bad | None) -> tuple[float | None, float | None]:
    """(low, high) that a signal carries as its baseline."""
    low = signal.baseline if bad in ("below", "whole") else None
    return low, signal.baseline if bad == "above" else None


def misspelt(name: str) -> str:
    """The known signal that a name very nearly is, "" where it is one or may be a user's own.

    >>> misspelt("drift.embedings"), misspelt("drift.labels"), misspelt("my.own")
    ('drift.embeddings', '', '')
    """
    import difflib

    from monitoring.signals import SPECS

    near = [] if name in SPECS else difflib.get_close_matches(name, SPECS, n=1, cutoff=0.85)
    return near[0] if near else ""


def spread(errors: Array) -> float:
    """Robust standard deviation of errors around zero: by their median size, or by their mean size
    where more than half of them are zero (Iglewicz and Hoaglin, 1993).

    >>> round(spread(np.array([-1.0, 1.0, -1.0, 1.0, 100.0])), 4), spread(np.zeros(9))
    (1.4826, 0.0)
    """
    sizes = np.abs(errors[np.isfinite(errors)])
    if len(sizes) == 0:
        return 0.0
    by_median = MAD_TO_SD * float(np.median(sizes))
    return by_median or MEAN_TO_SD * float(sizes.mean())


def _known(history: Sequence[Signal]) -> list[Signal]:
    return [s for s in history if s.value is not None and np.isfinite(s.value)]


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


def _outside(
    signal: Signal, least: float | None, most: float | None, low: float | None, high: float | None
) -> Verdict:
    """`least` must not be below `low`, nor `most` above `high`."""
    said = f"{signal.name} {_short(signal.value)} {signal.unit}"
    if low is not None and least is not None and least < low:
        return Verdict(True, f"{said}, less than {_short(low)}", low, high)
    if high is not None and most is not None and most > high:
        return Verdict(True, f"{said}, more than {_short(high)}", low, high)
    return Verdict(False, "", low, high)


def _short(x: float | None) -> str:
    return "-" if x is None else f"{x:.4g}"
