"""What a value is expected to be, from those that were stored before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.records.signals import Signal
from monitoring.alerts.rules.base import Bad, Rule, Verdict, outside

Side = Literal["above", "below", "both"]
DAY = timedelta(days=1)
MAD_TO_SD, MEAN_TO_SD = 1.4826, 1.2533  # of normal noise


class FromHistory(Rule):
    """A rule that expects a value from those before it."""

    side: Side | None = Field(None, description="above, below or both; the signal's own unless told")
    least: float = Field(0.0, ge=0, description="distance from the expected value too small to matter")

    def around(
        self, signal: Signal, middle: float, reach: float, bad: Bad | None, basis: str
    ) -> Verdict:
        """Whether a value lies farther than `reach` from the middle, on the side that is bad."""
        reach = max(reach, self.least)
        reach += 1e-9 * max(1.0, abs(middle))  # a constant is not broken by its own rounding
        side = self.side or ("both" if bad is None else "above" if bad == "above" else "below")
        low = middle - reach if side != "above" else None
        high = middle + reach if side != "below" else None
        found = outside(signal, signal.value, signal.value, low, high)
        return Verdict(found.broken, f"{found.words}, {basis}" if found.broken else "", low, high)


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


def known(history: Sequence[Signal]) -> list[Signal]:
    return [s for s in history if s.value is not None and np.isfinite(s.value)]
