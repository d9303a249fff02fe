"""`all`: retrain when every one of several triggers says so."""

from __future__ import annotations

from typing import Literal

from pipelines.triggers.several import Several


class AllOf(Several):
    policy: Literal["all"]

    @property
    def needed(self) -> int:
        return len(self.of)
