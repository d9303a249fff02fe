"""`all`: every request that was answered is kept."""

from __future__ import annotations

from typing import Literal

from core.records.answers import Prediction
from pipelines.logging.log_policy import Logging


class All(Logging):
    """Keep every request."""

    policy: Literal["all"]

    def choose(self, rows: list[Prediction]) -> list[Prediction]:
        return rows
