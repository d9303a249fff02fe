"""A request, the answer to it, and what is said of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from core.arrays import Array

Variant = Literal["champion", "canary", "challenger", "shadow"]
ANSWERED: tuple[Variant, ...] = ("champion", "canary", "challenger")  # what a user got to see


@dataclass(frozen=True)
class Request:
    """One text to classify, as it came through the door."""

    request_id: str
    timestamp: datetime
    text: str
    user_key: str = ""  # hashed, see hash_user
    segments: dict[str, str] = field(default_factory=dict)
    fresh: bool = False  # its id was made a moment ago: nobody can have asked under it before
    version: str = ""  # who shall answer, if one that serves now was named; "" leaves it to the router


@dataclass(frozen=True)
class ClassificationDetail:
    """What only a classifier says of its answer."""

    probabilities: Array  # (n_labels,) float16, in the model's label order


@dataclass(frozen=True)
class Prediction:
    """One answer of one model, whatever its task; `detail` is what only this task says of it. `canary`
    or, in an A/B test, `challenger` where it is the candidate's. `shadow` answers are stored and never
    sent."""

    prediction_id: str  # uuid7; the same request and variant always give the same id
    request_id: str
    timestamp: datetime
    model_version: str
    variant: Variant
    text: str
    output: str
    confidence: float  # 0..1, of the output
    detail: ClassificationDetail
    embedding: Array | None  # (dim,) float16; None on a shadow row: the answering row has it
    encoder: str  # identity of the encoder that made the embedding
    segments: dict[str, str]
    user_key: str
    latency_ms: float
    propensity: float = 1.0  # chance that the log keeps such a row; 1 where all are kept


@dataclass(frozen=True)
class Feedback:
    """What a user said of an answer: a `label`, a `correction`, or `thumbs` (up | down)."""

    feedback_id: str
    prediction_id: str
    timestamp: datetime
    kind: Literal["label", "correction", "thumbs"]
    value: str
    source: str = ""  # who says so, as the caller tells it
    caller: str = ""  # the API key, else the hashed address, as the server saw it; "" where none did


@dataclass(frozen=True)
class Quarantined:
    """A row that failed data quality checks: it is monitored, and not worth a label."""

    request_id: str
    timestamp: datetime  # when it was answered
    reasons: list[str]  # names of the checks it failed
