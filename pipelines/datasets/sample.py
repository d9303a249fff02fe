"""`sample`: a uniform draw of all that was ever labelled. Bounds what a retrain costs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from core.arrays import Frame
from pipelines.datasets.formation import Formation, drawn


class SampleFormation(Formation):
    policy: Literal["sample"]
    rows: int = Field(
        ge=1, examples=[40, 1000], description="training rows at most, drawn anew for each version"
    )

    def form(self, rows: Frame, _as_of: datetime, seed: int, /) -> Frame:
        return rows[rows.index.isin(drawn(rows, self.rows, f"sample/{seed}"))].copy()
