"""What users' own functions and checks call the columns of a window's rows."""

from __future__ import annotations

from core.arrays import Frame

COLUMNS = {"output": "label", "confidence": "score"}


def as_users_know(rows: Frame) -> Frame:
    """A copy of the rows under these names."""
    return rows.drop(columns="score", errors="ignore").rename(columns=COLUMNS)
