"""A user's own signals: a function of theirs that takes the window's rows and gives numbers by name, or
a class that takes the whole view of a window."""

from __future__ import annotations

import importlib
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from core.arrays import Array, Frame
from core.params import Section
from core.plugins import of
from core.returned import shown
from monitoring.columns import as_users_know

if TYPE_CHECKING:
    from monitoring.view import View

PATTERN = r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?$"
MOST = 50  # numbers of one function


class Measurement(Section):
    """Signals of another package. They are stored as custom.NAME, and rules may be put on them."""

    policy: str

    @abstractmethod
    def measure(self, view: View) -> Mapping[str, float | None]:
        """Numbers by name, None where one cannot be said: of all traffic, and again of each segment."""


MeasurementPolicy = Annotated[Measurement, of(Measurement, stage="signals")]


def values(hook: str, rows: Frame) -> tuple[dict[str, float | None], str]:
    """What `package.module:function` says of a copy of the rows."""
    module, _, name = hook.partition(":")
    return told(hook, lambda: getattr(importlib.import_module(module), name)(as_users_know(rows)))


def told(name: str, measure: Callable[[], Any]) -> tuple[dict[str, float | None], str]:
    """The numbers that it gives, None where one is not finite; and, in words, what went wrong. It is
    not ours, and whatever it raises must not end a run."""
    try:
        found = measure()
    except Exception as fault:
        return {}, f"{name} raised {type(fault).__name__}: {_line(fault)}"
    if not isinstance(found, Mapping):
        return {}, f"{name} gave {type(found).__name__}, expected a dict of numbers by name"
    numbers = {str(key): _number(value) for key, value in list(found.items())[:MOST]}
    odd = [k for k, v in found.items() if v is not None and not isinstance(v, Real)]
    if odd:
        return numbers, f"{name} gave {shown(found[odd[0]])} for {odd[0]}, expected a number or None"
    more = f"{name} gave {len(found)} numbers, {MOST} are kept" if len(found) > MOST else ""
    return numbers, more


def scores(hook: str, *texts: list[str]) -> tuple[Array, Array, str]:
    """What `package.module:function` says of each list of texts, a score of 0..1 each; and, in words,
    what went wrong. It is not ours, and whatever it raises must not end a run."""
    module, _, name = hook.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        ours, theirs = (_scores(function(list(some)), len(some)) for some in texts)
    except Exception as fault:
        unknown = [np.full(len(some), np.nan) for some in texts]
        return unknown[0], unknown[1], f"{hook} raised {type(fault).__name__}: {_line(fault)}"
    return ours, theirs, ""


def _scores(found: Any, count: int) -> Array:
    numbers = np.array([_score(x) for x in found])
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} scores for {count} texts")
    return numbers


def _score(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"{shown(value)} is no score from 0 to 1")
    return number


def _number(value: Any) -> float | None:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def _line(fault: Exception) -> str:
    return next(iter(str(fault).strip().splitlines()), "")[:200]
