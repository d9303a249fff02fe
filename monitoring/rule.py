"""When a distance counts: one rule for all of them.

A distance counts when it exceeds what the traffic does by itself, which has two parts, both learnt
from the reference. Sampling noise, at the sizes compared: it falls as rows grow. And ordinary days:
traffic is correlated within a day, so days differ by more than rows drawn at random would; that
part stays however many rows there are. A floor says from where on a difference matters at all. More
rows therefore make the same verdict surer, and do not turn a difference too small to matter into an
alarm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.records import Array

MIN_DAYS = 7  # of which it is known how much ordinary days differ
CLEARLY = 1.5  # times the noise: what 28 days can tell, of which drift moved some


@dataclass(frozen=True)
class Drift:
    """A distance and what to hold it against, in the distance's own unit."""

    value: float
    ordinary: float  # what this traffic does by itself
    sd: float  # of the sampling noise, and of ordinary days beyond it
    threshold: float
    rows: int  # it is held against
    noise: float  # the part of sd that more rows take away
    nearest: str = ""  # of several things it may be held against

    @property
    def alarm(self) -> bool:
        return self.value > self.threshold

    def __str__(self) -> str:
        effect = (self.value - self.ordinary) / self.sd if self.sd else 0.0
        side = "above" if effect >= 0 else "below"
        against = f"{self.nearest}, " if self.nearest else ""
        return (
            f"{abs(effect):.1f} sd {side} what this traffic does by itself "
            f"({self.ordinary:z.4f} ± {self.sd:.4f}, {against}{self.rows:,} reference rows)"
        )


@dataclass(frozen=True)
class Rule:
    """`sds` standard deviations of what the traffic does by itself, and `floor` at least."""

    sds: float
    floor: float

    def hold(
        self, value: float, sd: float, usual: tuple[float, float], rows: int, nearest: str = ""
    ) -> Drift:
        """`usual`: mean and standard deviation that ordinary days add, see `ordinary_days`."""
        mean, extra = usual
        both = float(np.hypot(sd, extra))
        threshold = mean + max(self.sds * both, self.floor)
        return Drift(value, mean, both, threshold, rows, sd, nearest)


def ordinary_days(values: Array, sds: Array) -> tuple[float, float]:
    """How far (d,) distances of past days lie beyond the (d,) standard deviations of their sampling
    noise: a mean and a spread. Median and lower half only, since drift moves some days, and those
    upwards; and a spread that so few days cannot tell from sampling noise is none.

    >>> ordinary_days(np.array([0.0, 0.1, -0.1, 0.0, 0.1, -0.1, 5.0]), np.full(7, 0.2))
    (0.0, 0.0)
    """
    if len(values) < MIN_DAYS:
        return 0.0, 0.0
    middle, noise = float(np.median(values)), float(np.median(sds))
    below = middle - values[values <= middle]
    spread = 1.4826 * float(np.median(below))
    extra = float(np.sqrt(spread**2 - noise**2)) if spread > CLEARLY * noise else 0.0
    return middle if middle > CLEARLY * noise else 0.0, extra
