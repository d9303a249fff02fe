"""Signals that are a mean over rows: of the window, with that of the reference beside it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from core.arrays import Array, Series
from core.records.signals import Signal
from monitoring.accuracy.shares import noise, plain
from monitoring.limits import FAULT_RISE, MIN_ROWS
from monitoring.view import Spec, View

Values: TypeAlias = "Array | Series"  # (n,), one a row


def mean(view: View, spec: Spec, ours: Values, theirs: Values, why: str = "") -> Signal:
    """The mean of (n,) values of rows, without those that are NaN; `why` there may be none."""
    return ratio(view, spec, (ours, np.ones(len(ours))), (theirs, np.ones(len(theirs))), why)


def ratio(
    view: View,
    spec: Spec,
    ours: tuple[Values, Values],
    theirs: tuple[Values, Values],
    why: str = "",
) -> Signal:
    """Sum over sum: how many (n,) of how many (n,) of each row. Rows that have none do not count."""
    (value, rows), (usual, others) = _ratio(*ours), _ratio(*theirs)
    least = MIN_ROWS
    if rows < least:
        note = f"not enough rows: {rows}, {least} needed" + (f" ({why})" if why else "")
        return view.signal(spec, None, note)
    if others < least:
        note = f"not comparable: {others} rows in the reference, {least} needed"
        return view.signal(spec, value, note)
    return view.signal(spec, value, f"{usual:.3g} in the reference")


def rise(view: View, spec: Spec, ours: Values, theirs: Values) -> Signal:
    """The share of rows that are 1 and not 0, and how much of it is no more than usual. Rows that are
    NaN do not count."""
    now, usual = _sound(ours), _sound(theirs)
    if len(now) < MIN_ROWS:
        return view.signal(spec, None, f"not enough rows: {len(now)}, {MIN_ROWS} needed")
    found = plain(now)
    note = f"{int(now.sum())} of {len(now):,}"
    if len(usual) < MIN_ROWS:
        note += f"; not comparable: {len(usual)} rows in the reference, {MIN_ROWS} needed"
        return view.signal(spec, found.value, note, low=found.low, high=found.high)
    before = plain(usual)
    note += f"; {before.value:.1%} of {len(usual):,} in the reference"
    limit = before.value + max(FAULT_RISE, view.settings.drift_sd * noise(found, before))
    return view.signal(spec, found.value, note, baseline=limit, low=found.low, high=found.high)


def _sound(values: Values) -> Array:
    """(n,) bool"""
    found = np.asarray(values, dtype=float)
    return np.asarray(found[np.isfinite(found)] > 0)


def _ratio(some: Values, whole: Values) -> tuple[float, int]:
    parts, wholes = np.asarray(some, dtype=float), np.asarray(whole, dtype=float)
    there = np.isfinite(parts) & (wholes > 0)
    rows = int(there.sum())
    return (float(parts[there].sum() / wholes[there].sum()) if rows else 0.0), rows
