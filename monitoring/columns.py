"""What users' own functions and checks call the columns of a window's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {"output": "label", "confidence": "score"}


def as_users_know(rows: pd.DataFrame) -> pd.DataFrame:
    """A copy of the rows under these names."""
    return rows.drop(columns="score", errors="ignore").rename(columns=COLUMNS)
