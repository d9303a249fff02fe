"""`window`: only the newest days. Forgets on purpose what a label used to mean."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from core.arrays import Frame
from pipelines.datasets.formation import Formation, newer


class WindowFormation(Formation):
    policy: Literal["window"]
    days: int = Field(ge=1, examples=[3], description="rows older than this many days do not train")

    def form(self, rows: Frame, as_of: datetime, _seed: int, /) -> Frame:
        return rows[newer(rows, as_of, self.days)].copy()
