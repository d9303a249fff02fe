"""How much traffic there was, against a usual window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.records.signals import Signal
from monitoring.limits import TRAFFIC_SHARE
from monitoring.view import Spec, View, windows_before

ROWS = Spec(
    "rows", "rows", "quality", "below", "traffic: {value:,.0f} rows, fewer than {baseline:,.0f}"
)
SPECS = (ROWS,)


def measure(view: View) -> Iterator[Signal]:
    """Rows count what they stand for, where the log keeps a share, or a share of it was read."""
    rows = float((1 / view.whole.kept).sum()) / view.whole.share
    if view.settings.reference == "training":
        yield view.signal(ROWS, rows, "not comparable: training rows are no traffic")
        return
    days = np.unique(windows_before(view.whole, view.whole_reference))
    if len(days) == 0:
        yield view.signal(ROWS, rows, "not comparable: no reference")
        return
    usual = float((1 / view.whole_reference.kept).sum()) / view.whole_reference.share / len(days)
    note = f"{usual:,.0f} rows in a usual window"
    yield view.signal(ROWS, rows, note, baseline=usual * TRAFFIC_SHARE)
