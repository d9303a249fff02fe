"""The numbers behind decisions: one record a kind of decision, and its JSON as every version stored it.

    decision.read(CurationEvidence).requests

Whoever decides makes the record, whoever wants its numbers reads the fields. Every field has a default:
what another kind of decision, or an older version, did not store. Fields that are None are not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Self

from core.stored import plain, record


class Evidence:
    """What every kind of evidence can do. `MORE` names the field whose items are stored beside the
    others, `KEYS` the fields that are stored under another name, `NULL` those that are stored when they
    are None."""

    MORE: ClassVar[str] = ""
    KEYS: ClassVar[Mapping[str, str]] = {}
    NULL: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        names = {cls.KEYS.get(n, n): n for n in _names(cls) if n != cls.MORE}
        found = {n: stored[key] for key, n in names.items() if key in stored}
        if cls.MORE:
            found[cls.MORE] = {k: v for k, v in stored.items() if k not in names}
        return record(cls, found)

    def stored(self) -> dict[str, Any]:
        values = {n: getattr(self, n) for n in _names(type(self))}
        more = values.pop(self.MORE, {})
        found = {
            self.KEYS.get(n, n): plain(v) for n, v in values.items() if v is not None or n in self.NULL
        }
        found |= plain(more)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and self.stored() == other.stored()

    __hash__ = None  # type: ignore[assignment]  # it has dicts


@dataclass(frozen=True, eq=False)
class AnyEvidence(Evidence):
    """Of a kind that no other room reads, and as the store has it."""

    MORE = "values"

    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TriggerEvidence(Evidence):
    MORE = "numbers"
    KEYS: ClassVar[Mapping[str, str]] = {"parts": "of"}

    shortfall: float | None = None  # accuracy that is missing
    proven: bool | None = None  # a loss of accuracy is
    parts: list[dict[str, Any]] | None = None  # what each of several triggers said
    numbers: dict[str, Any] = field(default_factory=dict)  # of the policy

    @property
    def proves(self) -> bool:
        return bool(self.proven) or any(bool(e.get("proven")) for e in self.parts or ())


@dataclass(frozen=True, eq=False)
class CurationEvidence(Evidence):
    requests: int = 0
    near_copies: int = 0
    budget: int = 0
    need: float | None = None
    saved: float = 0.0  # see pacing.Account
    due: float = 0.0
    picked: int = 0
    by_policy: dict[str, int] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)  # model version -> requests


@dataclass(frozen=True, eq=False)
class TrainingEvidence(Evidence):
    MORE = "metrics"

    run_id: str | None = None
    seconds: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TestEvidence(Evidence):
    __test__ = False  # not a pytest class
    MORE = "metrics"

    candidate: str = ""
    report: str = ""  # name of the page
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RolloutEvidence(Evidence):
    """`numbers` of a comparison may be called `candidate` and `champion`, as the versions are."""

    MORE = "numbers"

    rollout: str = ""
    by: str | None = None  # who ended it by hand, and why
    why: str | None = None
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RollbackEvidence(Evidence):
    """A champion that is made to serve again, by hand."""

    KEYS: ClassVar[Mapping[str, str]] = {"before": "from"}

    before: str | None = None
    to: str | None = None
    by: str = ""
    why: str = ""


@dataclass(frozen=True, eq=False)
class PinEvidence(Evidence):
    version: str = ""
    at: datetime | None = None
    by: str = ""
    why: str = ""


@dataclass(frozen=True, eq=False)
class AdoptEvidence(Evidence):
    """A champion that somebody chose in the registry."""

    version: str = ""
    before: str = ""


@dataclass(frozen=True, eq=False)
class RefusalEvidence(Evidence):
    """A model that is not fit to serve."""

    KEYS: ClassVar[Mapping[str, str]] = {"rollout": "for"}

    version: str = ""
    champion: str = ""
    rollout: str = ""  # its id, or "champion"
    fault: str = ""


@dataclass(frozen=True, eq=False)
class AlertEvidence(Evidence):
    MORE = "others"
    KEYS: ClassVar[Mapping[str, str]] = {"command": "next"}
    NULL = ("over",)

    signal: str = ""
    segment: str = ""
    kind: str = ""
    unit: str = ""
    reference: str = ""
    rules: list[str] = field(default_factory=list)
    window_start: datetime | None = None
    window_end: datetime | None = None
    value: float | None = None
    baseline: float | None = None
    low: float | None = None
    high: float | None = None
    last: datetime | None = None  # end of the last window that was bad
    windows: int = 1  # that were
    over: datetime | None = None
    command: str = ""  # to run next
    latest: str | None = None  # its words with the numbers of the last bad window
    explanation: list[str] | None = None
    episode: dict[str, Any] | None = None  # of drift, see DriftEpisode
    others: dict[str, Any] = field(default_factory=dict)  # of a topic


@dataclass(frozen=True, eq=False)
class AlertEndEvidence(Evidence):
    NULL = ("over",)

    alert: str = ""  # its key
    signal: str = ""
    segment: str = ""
    kind: str = ""
    opened: datetime | None = None
    last: datetime | None = None
    windows: int = 1
    over: datetime | None = None


@dataclass(frozen=True, eq=False)
class TopicEvidence(Evidence):
    KEYS: ClassVar[Mapping[str, str]] = {"command": "next"}

    kind: str = "topic"
    name: str = ""
    rows: int = 0
    share: float = 0.0
    since: datetime | None = None
    seen: datetime | None = None
    confidence: float = 0.0
    novelty: float = 0.0
    examples: list[str] = field(default_factory=list)  # request ids
    centroid: str = ""  # hash of it
    asked: int = 0
    command: str = ""


@dataclass(frozen=True, eq=False)
class UsersLabelsEvidence(Evidence):
    """What became of labels that users gave."""

    partition: str = ""
    words: int = 0
    by_fate: Mapping[str, int] | None = None
    by_source: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class AskedAgainEvidence(Evidence):
    """Labels of annotators who are often contradicted."""

    partition: str = ""
    annotators: list[str] = field(default_factory=list)
    asked_again: int = 0
    doubts: list[dict[str, Any]] = field(default_factory=list)


def _names(kind: type[Any]) -> list[str]:
    return [f.name for f in fields(kind)]
