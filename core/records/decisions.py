from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from core.evidence import AnyEvidence, Evidence

E = TypeVar("E", bound=Evidence)
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason in words and the numbers behind it. Alerts are decisions too."""

    key: str  # idempotency key: deciding again replaces, never adds
    stage: str  # triggers | curation | testing | rollout | monitoring ...
    timestamp: datetime
    verdict: str
    reason: str
    evidence: Evidence = field(default_factory=AnyEvidence)
    severity: Severity = "info"

    def __post_init__(self) -> None:
        if isinstance(self.evidence, dict):  # as the store has it
            object.__setattr__(self, "evidence", AnyEvidence(self.evidence))

    def read(self, kind: type[E]) -> E:
        """The evidence as this kind; what it does not have is as the kind's defaults say."""
        return self.evidence if isinstance(self.evidence, kind) else kind.of(self.evidence.stored())
