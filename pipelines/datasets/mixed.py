"""`mixed`: the newest days, and a replay share of what came before so that it is not forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from core.arrays import Frame
from pipelines.datasets.formation import Formation, drawn, newer


class MixedFormation(Formation):
    policy: Literal["mixed"]
    days: int = Field(ge=1, examples=[3], description="rows of the last days all train")
    replay_share: float = Field(
        ge=0,
        lt=1,
        examples=[0.5, 0.0],
        description="share of the training rows drawn uniformly from older ones",
    )

    def form(self, rows: Frame, as_of: datetime, seed: int, /) -> Frame:
        """Where nothing is new, the older rows are all there is, and all of them stay."""
        new = newer(rows, as_of, self.days)
        if not new.any():
            return rows.copy()
        wanted = round(int(new.sum()) * self.replay_share / (1 - self.replay_share))
        replayed = drawn(rows[~new], wanted, f"replay/{seed}")
        return rows[new | rows.index.isin(replayed)].copy()
