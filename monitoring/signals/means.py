"""Signals that are a mean over rows: of the window, with that of the reference beside it."""

from __future__ import annotations

import numpy as np

from core.records import Array, Signal
from monitoring.view import Spec, View


def mean(view: View, spec: Spec, ours: Array, theirs: Array, why: str = "") -> Signal:
    """The mean of (n,) values of rows, without those that are NaN; `why` there may be none."""
    return ratio(view, spec, (ours, np.ones(len(ours))), (theirs, np.ones(len(theirs))), why)


def ratio(
    view: View,
    spec: Spec,
    ours: tuple[Array, Array],
    theirs: tuple[Array, Array],
    why: str = "",
) -> Signal:
    """Sum over sum: how many (n,) of how many (n,) of each row. Rows that have none of it do not count."""
    (value, rows), (usual, others) = _ratio(*ours), _ratio(*theirs)
    least = view.settings.min_rows
    if rows < least:
        note = f"not enough rows: {rows}, {least} needed" + (f" ({why})" if why else "")
        return view.signal(spec, None, note)
    if others < least:
        note = f"not comparable: {others} rows in the reference, {least} needed"
        return view.signal(spec, value, note)
    return view.signal(spec, value, f"{usual:.3g} in the reference")


def _ratio(some: Array, all_: Array) -> tuple[float, int]:
    some, all_ = np.asarray(some, dtype=float), np.asarray(all_, dtype=float)
    there = np.isfinite(some) & (all_ > 0)
    rows = int(there.sum())
    return (float(some[there].sum() / all_[there].sum()) if rows else 0.0), rows
