"""`sample`: a uniform draw of all that was ever labelled. Bounds what a retrain costs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import pandas as pd
from pydantic import Field

from pipelines.datasets.policy import Formation, drawn


class Sample(Formation):
    policy: Literal["sample"]
    rows: int = Field(ge=1, description="training rows at most, drawn anew for each version")

    def form(self, rows: pd.DataFrame, _as_of: datetime, seed: int, /) -> pd.DataFrame:
        return rows[rows.index.isin(drawn(rows, self.rows, f"sample/{seed}"))].copy()
