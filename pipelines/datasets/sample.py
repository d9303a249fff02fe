"""`sample`: a uniform draw of all that was ever labelled. Bounds what a retrain costs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipelines.datasets.formation import Formation, drawn

if TYPE_CHECKING:
    import pandas as pd


class SampleFormation(Formation):
    policy: Literal["sample"]
    rows: int = Field(
        ge=1, examples=[40, 1000], description="training rows at most, drawn anew for each version"
    )

    def form(self, rows: pd.DataFrame, _as_of: datetime, seed: int, /) -> pd.DataFrame:
        return rows[rows.index.isin(drawn(rows, self.rows, f"sample/{seed}"))].copy()
