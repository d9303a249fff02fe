from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from core.ids import bucket

Stage = Literal["shadow", "canary", "ab_test", "promoted", "rolled_back"]
LIVE: tuple[Stage, ...] = ("shadow", "canary", "ab_test")


@dataclass(frozen=True)
class Rollout:
    """A candidate on its way to real users."""

    rollout_id: str
    candidate: str
    champion: str
    stage: Stage
    share: float  # of users who are answered by the candidate
    started: datetime
    stage_started: datetime
    reason: str = ""

    @property
    def live(self) -> bool:
        return self.stage in LIVE

    def draws(self, key: str) -> bool:
        """Whether this user (or request, where no user is named) is in the candidate's share.

        The rollout's id salts the hash, so each rollout tries its candidate on other users; a growing
        share only ever moves users from the champion to the candidate.
        """
        return bucket(key, salt=self.rollout_id) < self.share
