"""When labels are spent: `even`, the same every day; `need`, more on days that bring something new.

A label for a new kind of request serves every later one, so it is worth most on the day it appears.
What a quiet day does not spend is saved. Nothing is known but the past, and no round spends what has
not been earned: over any number of days at most `labels_per_day` times their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from core.params import Section

DAY = timedelta(days=1)
USUAL = timedelta(days=14)  # before the last day: what need is usual
CARRY_DAYS = 7.0  # most that is saved, in days' labels
CONTRAST = 2.0  # 0 spends evenly; larger saves more for days of need
SPREAD = 10.0  # days over which savings are spent while nothing happens
ROUNDING = 1e-9


@dataclass(frozen=True)
class Account:
    """Labels that are earned and not spent."""

    saved: float = 0.0  # less than 0 where people asked for more than there was
    due: float = 0.0  # the part of a label that is to be spent, less than 1

    def less(self, labels: float) -> Account:
        return Account(self.saved - labels, self.due)


@dataclass(frozen=True)
class RoundNeed:
    """What a round saw."""

    at: datetime
    requests: float
    need: float  # summed over the requests: how much may be wrong for want of labels


class Even(Section):
    """As many labels every day; hourly rounds spend a 24th each, a whole label at a time."""

    policy: Literal["even"]

    def budget(
        self, rate: float, days: float, account: Account, _looks: Sequence[RoundNeed]
    ) -> tuple[int, Account]:
        """As `Need.budget`, without savings."""
        return _whole(rate * min(days, 1.0) + max(min(account.saved, 0.0), -rate), 0.0, account.due)


class Need(Section):
    """The day's rate x (need of a request today / usual need)^2, and a share of the savings."""

    policy: Literal["need"]

    def budget(
        self, rate: float, days: float, account: Account, looks: Sequence[RoundNeed]
    ) -> tuple[int, Account]:
        """Labels this round may spend, and the account without them.

        `rate` labels are earned a day, and `days` went by since the last round. The last of `looks` is
        this round's; others are in order of time. Need is that of the last 24 hours, so hourly rounds
        spend in a day what a daily one does. At most a day's labels stay owed.
        """
        earned = rate * min(days, max(1.0, CARRY_DAYS))
        saved = max(min(account.saved, rate * CARRY_DAYS), -rate)
        wish = earned * _ratio(looks) ** CONTRAST + max(saved, 0.0) * min(1.0, days / SPREAD)
        spend = min(max(saved + earned, 0.0), wish)
        return _whole(spend, saved + earned - spend, account.due)


PacingPolicy = Annotated[Even | Need, Field(discriminator="policy")]


def _whole(spend: float, saved: float, due: float) -> tuple[int, Account]:
    due = max(0.0, spend) + due
    labels = int(due + ROUNDING)
    return labels, Account(saved + min(spend, 0.0), max(0.0, due - labels))


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
