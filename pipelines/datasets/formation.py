"""What every formation policy answers: which of the rows that may train do train."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from core.ids import bucket
from core.params import Section
from core.returned import shown, wrong

if TYPE_CHECKING:
    import pandas as pd


class Formation(Section):
    """Chooses a subset of the training rows of a reservoir."""

    policy: str
    recent_days: int = Field(
        0,
        ge=0,
        description="labels of so many last days test instead of train, until they are older: accuracy "
        "ahead in time, at the price of learning from them later; 0 is off",
    )
    max_failed: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of a version's new rows that may fail an expectation: they are left out, "
        "and beyond it no version is made",
    )

    supersede: Literal["rewrite", "retire", "ask"] = Field(
        "rewrite",
        description="what becomes of old rows that contradict new ones, where answers are no labels: "
        "rewrite gives them the new name in the next versions, or leaves them out where the old name "
        "became several; retire leaves them out, ask only tells of them",
    )

    @abstractmethod
    def form(self, rows: pd.DataFrame, as_of: datetime, seed: int, /) -> pd.DataFrame:
        """Rows of `rows`, unchanged and in their order. The same seed chooses the same rows, in
        whatever order they come."""


def formed(policy: Formation, rows: pd.DataFrame, as_of: datetime, seed: int) -> pd.DataFrame:
    """The rows a policy chooses. Raises PolicyError where one of them is none of `rows`, has another
    target, stands twice, or out of order."""
    import pandas as pd

    found: Any = policy.form(rows, as_of, seed)
    expected = "rows of those it was given, unchanged, each once, in their order and with their index"
    if not isinstance(found, pd.DataFrame):
        wrong(policy, "form", shown(found), expected)
    for column in ("row_id", "target"):
        if column not in found:
            wrong(policy, "form", f"rows without {column}: {', '.join(map(str, found))}", expected)
        other = (found[column] != rows[column].reindex(found.index)).to_numpy()
        if other.any():
            row = found[other].iloc[0]
            wrong(policy, "form", f"at {row.name!r} the {column} {row[column]!r}", expected)
    if not (found.index.is_unique and found.index.is_monotonic_increasing):
        wrong(policy, "form", "a row twice, or rows out of order", expected)
    return found


def newer(rows: pd.DataFrame, as_of: datetime, days: float) -> pd.Series[bool]:
    """Which rows lie in the last `days` before `as_of`, the oldest instant left out."""
    return rows["timestamp"] > as_of - timedelta(days=days)


def drawn(rows: pd.DataFrame, wanted: int, salt: str) -> pd.Index[int]:
    """The index of `wanted` rows, drawn uniformly; all where there are no more.

    A row's place in a seeded shuffle hangs on its id alone: not on its position, nor on the others.
    """
    places = rows["row_id"].map(lambda row_id: bucket(row_id, salt))
    return places.sort_values(kind="stable").index[:wanted]
