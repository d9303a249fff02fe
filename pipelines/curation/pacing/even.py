"""`even`: as many labels every day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pipelines.curation.pacing.pacing import Account, Pacing, RoundNeed, whole


class Even(Pacing):
    """As many labels every day; hourly rounds spend a 24th each, a whole label at a time."""

    policy: Literal["even"]

    def budget(
        self, rate: float, days: float, account: Account, _looks: Sequence[RoundNeed], /
    ) -> tuple[int, Account]:
        return whole(rate * min(days, 1.0) + max(min(account.saved, 0.0), -rate), 0.0, account.due)
