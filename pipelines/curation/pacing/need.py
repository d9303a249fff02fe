"""`need`: more labels on days that bring something new.

A label for a new kind of request serves every later one, so it is worth most on the day it appears.
What a quiet day does not spend is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from pipelines.curation.pacing.pacing import Account, Pacing, RoundNeed, whole

DAY = timedelta(days=1)
USUAL = timedelta(days=14)  # before the last day: what need is usual
CARRY_DAYS = 7.0  # most that is saved, in days' labels
CONTRAST = 2.0  # 0 spends evenly; larger saves more for days of need
SPREAD = 10.0  # days over which savings are spent while nothing happens


class Need(Pacing):
    """The day's rate x (need of a request today / usual need)^2, and a share of the savings."""

    policy: Literal["need"]

    def budget(
        self, rate: float, days: float, account: Account, looks: Sequence[RoundNeed], /
    ) -> tuple[int, Account]:
        """Need is that of the last 24 hours, so hourly rounds spend in a day what a daily one does. At
        most a day's labels stay owed."""
        earned = rate * min(days, max(1.0, CARRY_DAYS))
        saved = max(min(account.saved, rate * CARRY_DAYS), -rate)
        wish = earned * _ratio(looks) ** CONTRAST + max(saved, 0.0) * min(1.0, days / SPREAD)
        spend = min(max(saved + earned, 0.0), wish)
        return whole(spend, saved + earned - spend, account.due)


def _ratio(looks: Sequence[RoundNeed]) -> float:
    """Need of a request in the last 24 hours against the days before; 1 where nothing is usual yet."""
    now = looks[-1].at
    today = [k for k in looks if k.at > now - DAY]
    before = [k for k in looks if now - DAY - USUAL < k.at <= now - DAY]
    here, usual = _each(today), _each(before)
    return here / usual if usual > 0 else 1.0


def _each(looks: Sequence[RoundNeed]) -> float:
    requests = sum(k.requests for k in looks)
    return sum(k.need for k in looks) / requests if requests > 0 else 0.0
