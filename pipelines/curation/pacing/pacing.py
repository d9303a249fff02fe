"""When labels are spent: `even`, the same every day; `need`, more on days that bring something new.

No pacing knows anything but the past, and no round spends what has not been earned: over any number of
days at most `labels_per_day` times their number.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from numbers import Integral
from typing import Annotated, Any

from core.params import Section
from core.plugins import of
from core.returned import finite, shown, wrong

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


class Pacing(Section):
    """Says how many labels each round may spend."""

    policy: str

    @abstractmethod
    def budget(
        self, rate: float, days: float, account: Account, looks: Sequence[RoundNeed], /
    ) -> tuple[int, Account]:
        """Labels this round may spend, and the account without them.

        `rate` labels are earned a day, and `days` went by since the last round. The last of `looks` is
        this round's; others are in order of time.
        """


PacingPolicy = Annotated[Pacing, of(Pacing)]


def paced(
    pacing: Pacing, rate: float, days: float, account: Account, looks: Sequence[RoundNeed]
) -> tuple[int, Account]:
    """What a pacing lets a round spend. Raises PolicyError where that is no number of labels."""
    found: Any = pacing.budget(rate, days, account, looks)
    expected = "(a whole number of labels from 0 up, the Account without them)"
    if not isinstance(found, tuple) or len(found) != 2:
        wrong(pacing, "budget", shown(found), expected)
    labels, left = found
    if not isinstance(labels, Integral) or isinstance(labels, bool) or labels < 0:
        wrong(pacing, "budget", shown(labels), expected)
    if not isinstance(left, Account) or not (finite(left.saved) and finite(left.due)):
        wrong(pacing, "budget", shown(left), expected)
    return int(labels), left


def whole(spend: float, saved: float, due: float) -> tuple[int, Account]:
    """A budget of whole labels: the rest is due in the next round."""
    due = max(0.0, spend) + due
    labels = int(due + ROUNDING)
    return labels, Account(saved + min(spend, 0.0), max(0.0, due - labels))
