"""`all`: everything that was ever labelled. The best choice while old requests still come."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import pandas as pd

from pipelines.datasets.policy import Formation


class All(Formation):
    policy: Literal["all"]

    def form(self, rows: pd.DataFrame, _as_of: datetime, _seed: int, /) -> pd.DataFrame:
        return rows.copy()
