"""What every logging policy shares: limits, redaction, how safe a row is before its answer is given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from core.kept import Kept, Profile
from core.params import Section
from core.records.answers import Prediction
from core.returned import finite, shown, wrong
from pipelines.logging.redaction import PATTERNS, Clean, check_names, check_patterns, cleaner


class Logging(Section):
    """Chooses what of the answers is stored."""

    whole: ClassVar[bool] = True  # a prediction that is not in the log was never made
    texts: ClassVar[bool] = True  # rows are kept, with their texts: something to label and learn from

    policy: str
    max_text_characters: int = Field(
        default=10_000, gt=0, le=1_000_000, description="a longer text is refused, never cut"
    )
    durability: Literal["acknowledged", "async"] = Field(
        "acknowledged",
        description="acknowledged: an answer is given once it is stored (in the store, or on disk "
        "while the store is away); async: before, so a crash may lose the answers of the last second, "
        "1,000 at most",
    )
    redact: list[str] = Field(
        [],
        description="what is cut out of texts, messages and written answers before they are stored, "
        "each with a placeholder: "
        f"{', '.join(PATTERNS)}. The model reads the text as it came, and the stored embedding is of "
        "that",
    )
    redact_patterns: dict[str, str] = Field(
        {},
        description="more to cut out, NAME: REGEX, stored as [NAME]; where a pattern of yours needs "
        "longer than 0.2 s for a text, the whole text is stored as [NAME]",
    )
    redact_with: str = Field(
        "",
        description="your own function of a text, MODULE:FUNCTION, that returns what may be stored; it "
        "runs last",
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        description="what was logged is deleted after so many days, unless it waits for a label or a "
        "dataset; null keeps it. Dataset versions stay as they are",
    )

    _names = field_validator("redact")(check_names)
    _patterns = field_validator("redact_patterns")(check_patterns)

    @cached_property
    def clean(self) -> Clean:
        """A text as it may be stored. Raises ParamsError when `redact_with` cannot be had."""
        return cleaner(self.redact, self.redact_patterns, self.redact_with)

    def keep(self, rows: list[Prediction]) -> Kept:
        """What of these answers is stored; rows of one request all or none."""
        chosen = self._chosen(rows)
        if self.redact or self.redact_patterns or self.redact_with:
            chosen = [self._cleaned(p) for p in chosen]
        texts = sum(p.variant != "shadow" for p in rows)
        return Kept(chosen, texts, self.count(rows))

    def _chosen(self, rows: list[Prediction]) -> list[Prediction]:
        """What `choose` says. Raises PolicyError where a row is none of these, or without a chance."""
        found: Any = self.choose(rows)
        expected = "rows of those it was given, each once, with a chance above 0 and at most 1"
        if not isinstance(found, Sequence) or not all(isinstance(p, Prediction) for p in found):
            wrong(self, "choose", shown(found), expected)
        given, seen = {p.prediction_id for p in rows}, set[str]()
        for row in found:
            if row.prediction_id not in given or row.prediction_id in seen:
                wrong(self, "choose", f"the row {row.prediction_id}, unknown or twice", expected)
            if not finite(row.propensity) or not 0 < row.propensity <= 1:
                wrong(self, "choose", f"a chance of {shown(row.propensity)}", expected)
            seen.add(row.prediction_id)
        return list(found)

    def _cleaned(self, row: Prediction) -> Prediction:
        output, detail = row.detail.cleaned(row.output, self.clean)
        return replace(row, text=self.clean(row.text), output=output, detail=detail)

    @abstractmethod
    def choose(self, rows: list[Prediction]) -> list[Prediction]:
        """The rows that are stored, each with its chance of being stored."""

    def count(self, rows: list[Prediction]) -> list[Profile]:  # noqa: ARG002  other policies look
        """Counts that are stored in their place."""
        return []
