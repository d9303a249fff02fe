"""`all`: everything that was ever labelled. The best choice while old requests still come."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pipelines.datasets.formation import Formation

if TYPE_CHECKING:
    import pandas as pd


class AllFormation(Formation):
    policy: Literal["all"]

    def form(self, rows: pd.DataFrame, _as_of: datetime, _seed: int, /) -> pd.DataFrame:
        return rows.copy()
