"""What do we train on? Here: the newest rows of each label."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from pydantic import Field

from pipelines.datasets.formation import Formation


class NewestOfEach(Formation):
    """No label trains on more than its newest rows."""

    rows: int = Field(ge=1, examples=[5, 1000], description="rows of each label that train, at most")

    def form(self, rows: pd.DataFrame, _as_of: datetime, _seed: int, /) -> pd.DataFrame:
        newest_first = rows.sort_values(["timestamp", "row_id"], ascending=False)
        kept = newest_first.groupby("target", sort=False).head(self.rows)
        return rows[rows.index.isin(kept.index)].copy()
