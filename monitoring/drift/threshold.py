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

from core.arrays import Array

SURE = 2.0  # standard errors from which on days differ by more than sampling noise
MIN_DAYS = 3  # of which it is known how much ordinary days differ


@dataclass(frozen=True)
class DayVariation:
    """What days differ beyond sampling noise: mean and standard deviation of the distance, learnt of so
    many days."""

    mean: float = 0.0
    sd: float = 0.0
    days: int = 0

    def of(self, days: float) -> DayVariation:
        """The same for the mean of so many days."""
        return DayVariation(self.mean / days, self.sd / days, self.days)


NOTHING_KNOWN = DayVariation()


@dataclass(frozen=True)
class DriftResult:
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

    @property
    def strength(self) -> float:
        """How far it is from what the traffic does by itself: 1 at the threshold."""
        return (self.value - self.ordinary) / ((self.threshold - self.ordinary) or 1.0)

    def __str__(self) -> str:
        effect = (self.value - self.ordinary) / self.sd if self.sd else 0.0
        side = "above" if effect >= 0 else "below"
        against = f"{self.nearest}, " if self.nearest else ""
        return (
            f"{abs(effect):.1f} sd {side} what this traffic does by itself "
            f"({self.ordinary:z.4f} ± {self.sd:.4f}, {against}{self.rows:,} reference rows)"
        )


@dataclass(frozen=True)
class Threshold:
    """`sds` standard deviations of what the traffic does by itself, and `floor` at least."""

    sds: float
    floor: float

    def compare(
        self, value: float, sd: float, usual: DayVariation, rows: int, nearest: str = ""
    ) -> DriftResult:
        """A spread learnt of few days may be much too small, so it counts by Student's t: the limit
        that one more day exceeds as rarely as `sds` standard deviations of normal noise."""
        extra = usual.sd
        if extra and usual.days > 1:
            from scipy.special import ndtr, stdtrit

            extra *= float(stdtrit(usual.days - 1, ndtr(self.sds))) / self.sds
        both = float(np.hypot(sd, extra))
        threshold = usual.mean + max(self.sds * both, self.floor)
        return DriftResult(value, usual.mean, both, threshold, rows, sd, nearest)


def day_variation(values: Array, sds: Array, fitted: bool = False) -> DayVariation:
    """How far (d,) distances of past days lie beyond the (d,) standard deviations of their sampling
    noise. By medians, since drift moves some days, and those upwards; what so few days cannot tell from
    sampling noise, by SURE standard errors of a median and of a median absolute deviation, is none.

    `fitted`: the distances are of what was fitted to each day, and may be too small.

    >>> day_variation(np.array([0.0, 0.1, -0.1, 0.0, 0.1, -0.1, 5.0]), np.full(7, 0.2))
    DayVariation(mean=0.0, sd=0.0, days=7)
    """
    days = len(values)
    if days < MIN_DAYS:
        return NOTHING_KNOWN
    middle, noise = float(np.median(values)), float(np.median(sds))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    known = (fitted and middle < 0) or middle > SURE * 1.25 * noise / np.sqrt(days)
    more = spread > (1 + SURE * 1.17 / np.sqrt(days)) * noise
    extra = float(np.sqrt(spread**2 - noise**2)) if more else 0.0
    return DayVariation(middle if known else 0.0, extra, days)
