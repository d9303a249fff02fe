"""What is the truth? Tasks go out to people, and what they say comes back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from core.params import Section


class Labeling(Section):
    """Which labels there are, and who says so."""

    labels: list[str] | Literal["open"] = Field(
        default="open", description="the only labels taken, or open: a new label is a new class"
    )
    annotators: int = Field(
        1, ge=1, le=20, description="votes that must agree before a task has its label"
    )
    lease_minutes: float = Field(15, gt=0, le=1440, description="how long a task is one annotator's")
    guideline: str | None = Field(
        None,
        min_length=1,
        description="what annotators are told: a Markdown or text file in the workspace",
    )

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: list[str] | Literal["open"]) -> list[str] | Literal["open"]:
        if isinstance(labels, list) and (
            not labels or len(set(labels)) < len(labels) or any(x != x.strip() or not x for x in labels)
        ):
            raise ValueError("a list of different labels, none empty")
        return labels

    @property
    def closed(self) -> list[str] | None:
        """The declared labels; None when the set is open."""
        return None if self.labels == "open" else list(self.labels)
