"""A user's own signals: a function of theirs that takes the window's rows and gives numbers by name."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

PATTERN = r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?$"
MOST = 50  # numbers of one function


def values(hook: str, rows: pd.DataFrame) -> tuple[dict[str, float | None], str]:
    """What `package.module:function` says of a copy of the rows, None where that is no finite number;
    and, in words, what went wrong. It is not ours, and whatever it raises must not end a run."""
    module, _, name = hook.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)(rows.copy())
    except Exception as fault:
        return {}, f"{hook} raised {type(fault).__name__}: {_line(fault)}"
    if not isinstance(found, Mapping):
        return {}, f"{hook} gave {type(found).__name__}, expected a dict of numbers by name"
    numbers = {str(key): _number(value) for key, value in list(found.items())[:MOST]}
    more = f"{hook} gave {len(found)} numbers, {MOST} are kept" if len(found) > MOST else ""
    return numbers, more


def _number(value: Any) -> float | None:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def _line(fault: Exception) -> str:
    return next(iter(str(fault).strip().splitlines()), "")[:200]
