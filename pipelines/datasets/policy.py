"""What every formation policy answers: which of the rows that may train do train."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from core.params import Section


class Formation(Section):
    """Chooses a subset of the training rows of a reservoir."""

    policy: str

    def form(self, rows: pd.DataFrame, as_of: datetime, seed: int, /) -> pd.DataFrame:
        """Rows of `rows`, unchanged and in their order. The same seed chooses the same rows, in
        whatever order they come."""
        raise NotImplementedError


def newer(rows: pd.DataFrame, as_of: datetime, days: float) -> pd.Series[bool]:
    """Which rows lie in the last `days` before `as_of`, the oldest instant left out."""
    return rows["timestamp"] > as_of - timedelta(days=days)
