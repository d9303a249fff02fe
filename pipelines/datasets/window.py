"""`window`: only the newest days. Forgets on purpose what a label used to mean."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipelines.datasets.formation import Formation, newer

if TYPE_CHECKING:
    import pandas as pd


class WindowFormation(Formation):
    policy: Literal["window"]
    days: int = Field(ge=1, examples=[3], description="rows older than this many days do not train")

    def form(self, rows: pd.DataFrame, as_of: datetime, _seed: int, /) -> pd.DataFrame:
        return rows[newer(rows, as_of, self.days)].copy()
