"""A dataset version, the model trained on it, and the report of its test."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Judgement = Literal["pass", "fail", "cannot judge"]


@dataclass(frozen=True)
class DatasetVersion:
    """One tagged state of the reservoir and the rows formed from it."""

    id: str  # v0007; its git tag is dataset/v0007
    as_of: datetime
    policy: str
    seed: int
    parent: str  # "" for the first
    revision: str  # DVC hash of data/dataset, "<md5>.dir"
    commit: str  # git commit of the tag
    rows: dict[str, int]  # split -> rows
    labels: int
    schema_hash: str
    label_set: int = 0  # operations of data/labels.json that it was made under
    left_out: dict[str, int] = field(default_factory=dict)  # why rows do not train -> how many

    def trains(self) -> str:
        """How many rows train, and why the others do not."""
        train, out = self.rows.get("train", 0), sum(self.left_out.values())
        why = ", ".join(f"{n:,} {reason}" for reason, n in self.left_out.items())
        return f"{train + out:,} rows, {why} left out: {train:,} train" if out else f"{train:,} rows"


@dataclass(frozen=True)
class Candidate:
    """A trained model that has not earned anything yet."""

    version: str  # registry version
    run_id: str  # MLflow run
    dataset: str  # DatasetVersion.id
    recipe: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class TestReport:
    """Candidate against champion on every evaluation set, and would everybody sign it off?"""

    __test__ = False  # not a pytest class

    candidate: str
    champion: str
    verdict: Judgement  # only a pass goes on to live traffic
    reasons: list[str]
    metrics: dict[str, float]
    slices: list[dict[str, Any]]  # set, segment, rows, champion, candidate, counted
    expectations: list[dict[str, Any]]  # name, kind (MFT|INV|DIR), rows, failed, passed, examples
    labels: list[dict[str, Any]] = field(default_factory=list)  # that the champion does not know

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"
