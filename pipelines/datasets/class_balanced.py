"""`class-balanced`: no label trains on more rows than another, as far as each has them.

Common labels are drawn down; rare ones keep every row. Nothing is repeated or made up.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from core.arrays import Frame
from core.tasks import CLASSIFICATION
from pipelines.datasets.formation import Formation, drawn


class ClassBalancedFormation(Formation):
    tasks: ClassVar = (CLASSIFICATION,)
    policy: Literal["class-balanced"]
    per_label: int = Field(
        ge=1, examples=[7, 1000], description="training rows of each label at most, drawn uniformly"
    )

    def form(self, rows: Frame, _as_of: datetime, seed: int, /) -> Frame:
        """A row's luck hangs on its id and the seed, so a label's draw does not change with others."""
        of_each = rows.groupby("target", sort=False).groups.values()
        kept = [drawn(rows.loc[index], self.per_label, f"balance/{seed}") for index in of_each]
        return rows[rows.index.isin([i for index in kept for i in index])].copy()
