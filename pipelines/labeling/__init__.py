"""What is the truth? Tasks go out to people, and what they say comes back."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from core.label_names import normal
from core.params import Section

TRUST = {  # how far what users say of an answer is believed, in 0..1
    "label": 1.0,  # from somebody who knows it
    "correction": 0.8,  # a user put another label instead
    "demonstration": 0.8,  # or what a model should have written
    "thumbs": 0.3,  # thumbs up: the answer was its own label
}


class Users(Section):
    """How far users' words may go without a person. An API key is a source, else an address is."""

    per_source: int = Field(10, ge=0, description="labels of one source and day that may train unasked")
    per_day: int = Field(50, ge=0, description="labels of one day that may train unasked")
    asked_per_day: int = Field(
        10,
        ge=0,
        description="words a day that become tasks, beside those that curation picks; where a model "
        "writes its answers, they count among labels_per_day",
    )


class Labeling(Section):
    """Which labels there are, and who says so."""

    labels: list[str] | Literal["open"] = Field(
        default="open", description="the only labels taken, or open: a new label is a new class"
    )
    annotators: int = Field(
        1, ge=1, le=20, description="votes that must agree before a task has its label"
    )
    guideline: str | None = Field(
        None,
        min_length=1,
        description="what annotators are told: a Markdown or text file in the workspace",
    )

    trust_at_least: float = Field(
        0.8,
        ge=0,
        le=1,
        description="feedback that trains: 1 takes labels, 0.8 corrections and demonstrations, too, "
        "0.3 thumbs up, too",
    )
    users: Users = Field(default_factory=Users, description="how far users' words go without a person")

    @field_validator("labels", mode="before")
    @classmethod
    def _named(cls, labels: Any) -> Any:
        """Labels in their normal form. YAML's numbers are labels; its booleans may be a `no` that was
        not quoted, and are not."""
        if not isinstance(labels, list):
            return labels
        names = (str, int, float)
        return [normal(x) if isinstance(x, names) and not isinstance(x, bool) else x for x in labels]

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: list[str] | Literal["open"]) -> list[str] | Literal["open"]:
        if isinstance(labels, list) and (not labels or len(set(labels)) < len(labels) or "" in labels):
            raise ValueError("a list of different labels, none empty")
        return labels

    @property
    def trusted(self) -> dict[str, float]:
        """The kinds of feedback that may train, with their trust."""
        return {kind: trust for kind, trust in TRUST.items() if trust >= self.trust_at_least}

    @property
    def closed(self) -> list[str] | None:
        """The declared labels; None when the set is open."""
        return None if self.labels == "open" else list(self.labels)
