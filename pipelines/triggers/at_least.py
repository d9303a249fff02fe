"""`at-least`: retrain when so many of several triggers say so."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipelines.triggers.several import Several


class AtLeast(Several):
    policy: Literal["at-least"]
    count: int = Field(2, ge=1, description="how many of them must fire")

    @model_validator(mode="after")
    def _possible(self) -> AtLeast:
        if self.count > len(self.of):
            raise ValueError(f"a count of at most {len(self.of)}, the triggers there are")
        return self

    @property
    def needed(self) -> int:
        return self.count
