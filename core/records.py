"""What passes between rooms: small frozen records, all times UTC, all shares in 0..1.

A request becomes a `Prediction`; some predictions become an `AnnotationTask`, then an
`Annotation`; annotations become reservoir rows, rows a `DatasetVersion`, that a `Candidate`, that a
`TestReport`, that a `Rollout`, and the rollout decides who serves the next request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt

from core.evidence import AnyEvidence, Evidence
from core.stored import plain

if TYPE_CHECKING:
    import pandas as pd

E = TypeVar("E", bound=Evidence)
Array = npt.NDArray[Any]
Variant = Literal["champion", "canary", "challenger", "shadow"]
Severity = Literal["info", "warning", "critical"]
Stage = Literal["shadow", "canary", "ab_test", "promoted", "rolled_back"]
Kind = Literal["label"]  # of a truth; demonstration, rating and preference come with generation
TaskState = Literal["open", "leased", "waiting", "disputed", "done", "skipped"]
ANSWERED: tuple[Variant, ...] = ("champion", "canary", "challenger")  # what a user got to see
TOPIC = "topic"  # policy of tasks drawn from a group of rows
VERIFY = "verify"  # policy of tasks that check what a user said
BY_HAND = (TOPIC, VERIFY)  # tasks whose chance is none over all traffic
Judgement = Literal["pass", "fail", "cannot judge"]
LIVE: tuple[Stage, ...] = ("shadow", "canary", "ab_test")


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
class AnnotationTask:
    """A prediction chosen for a label, with the chance it had of being chosen."""

    prediction_id: str
    timestamp: datetime  # when it was picked
    round: str  # the curation round, e.g. 2026-01-08
    policy: str
    propensity: float  # inclusion probability in (0, 1]
    audit: bool  # drawn uniformly; grows the evaluation set, never trains
    text: str = ""
    predicted: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class Annotation:
    """The truth about one prediction, as somebody saw it."""

    prediction_id: str
    value: str  # a label, where that is its kind
    annotator: str
    timestamp: datetime
    kind: Kind = "label"


@dataclass(frozen=True)
class Vote:
    """What one annotator says of one task. A skip is a vote without a label; the note says why."""

    prediction_id: str
    annotator: str
    label: str | None
    timestamp: datetime
    note: str = ""


@dataclass(frozen=True)
class Review:
    """A label that looks wrong, and what it might be instead."""

    prediction_id: str
    timestamp: datetime  # when it was looked at
    label: str
    suggested: str
    score: float  # 0..1: how likely the label is, by a model that did not learn from it
    text: str


@dataclass(frozen=True)
class Dispute:
    """A task that only an adjudicator can settle: annotators differ, or its label looks wrong."""

    task: AnnotationTask
    votes: list[Vote]  # by annotator
    reason: str  # in words
    label: str = ""  # the label in doubt, where the task is settled already
    suggested: str = ""  # what it might be instead


@dataclass(frozen=True)
class Progress:
    """How far one annotator is."""

    labelled: int
    skipped: int
    left: int  # tasks that this annotator could still be given


@dataclass(frozen=True)
class Signal:
    """One number about one window. A `value` of None was not enough to say; `note` says why."""

    name: str
    window_start: datetime
    window_end: datetime
    value: float | None
    unit: str
    baseline: float | None = None
    low: float | None = None  # 95 % interval, where one is known
    high: float | None = None
    segment: str = ""  # "" is the whole window, else "column=value"
    note: str = ""
    reference: str = ""  # what it was held against: a reference policy, "" where against nothing


@dataclass(frozen=True, eq=False)
class TrafficSample:
    """Some rows of a stretch of past traffic, evenly drawn: what later traffic is held against."""

    encoder: str
    start: datetime
    end: datetime
    rows: int  # there were
    embeddings: Array  # (k, dim) float16, k <= rows


@dataclass(frozen=True)
class SystemSample:
    """How one server fared in the time before `timestamp`."""

    source: str  # host and process
    timestamp: datetime
    requests: int
    errors: int  # requests answered with 5xx
    queue: int  # texts that waited for the model, at most
    memory: int  # bytes of the process
    gpu: int | None = None  # bytes of GPU memory in use; None without one


@dataclass(frozen=True)
class Quarantined:
    """A row that failed data quality checks: it is monitored, and not worth a label."""

    request_id: str
    timestamp: datetime  # when it was answered
    reasons: list[str]  # names of the checks it failed


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


@dataclass(frozen=True)
class Rollout:
    """A candidate on its way to real users."""

    rollout_id: str
    candidate: str
    champion: str
    stage: Stage
    share: float  # of users who are answered by the candidate
    started: datetime
    stage_started: datetime
    reason: str = ""

    @property
    def live(self) -> bool:
        return self.stage in LIVE

    def draws(self, key: str) -> bool:
        """Whether this user (or request, where no user is named) is in the candidate's share.

        The rollout's id salts the hash, so each rollout tries its candidate on other users; a growing
        share only ever moves users from the champion to the candidate.
        """
        return bucket(key, salt=self.rollout_id) < self.share


@dataclass(frozen=True)
class Window:
    """Answered requests of [start, end): rows and the arrays that travel with them.

    rows: prediction_id, request_id, timestamp, model_version, variant, text, output, confidence,
    encoder, user_key, latency_ms, truth (None where unknown), score (how right the output is, 0..1,
    NaN where unknown), audit (bool), kept (chance that the log kept the row), propensity (chance that
    it was kept and picked, NaN where not picked), and one `segment.<name>` column for each segment.
    """

    start: datetime
    end: datetime
    rows: pd.DataFrame
    embeddings: Array  # (n, dim) float32
    probabilities: Array | list[Array]  # row by row (n_labels,) float32; a matrix where all are as long
    share: float = 1.0  # of the rows in the log: less where only some were read, drawn evenly

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def kept(self) -> Array:
        """(n,) chance that the log kept each row: it stands for 1 / kept requests."""
        if "kept" not in self.rows:
            return np.ones(len(self))
        return self.rows["kept"].to_numpy(dtype=float)

    @property
    def padded(self) -> Array:
        """(n, n_labels) probabilities; a row of a model with fewer labels ends in zeros."""
        given = self.probabilities
        if isinstance(given, np.ndarray):
            return given
        whole = np.zeros((len(given), max((len(p) for p in given), default=0)), dtype=np.float32)
        for row, p in zip(whole, given, strict=True):
            row[: len(p)] = p
        return whole

    def even(self) -> Window:
        """Rows that look like all traffic: where the log always keeps some kinds, those thinned out."""
        even = evenly(self.rows["request_id"], self.kept)
        return self if even.all() else self.take(even)

    def take(self, keep: Array) -> Window:
        """The rows at these positions, or where this boolean mask is true."""
        where = np.flatnonzero(keep) if keep.dtype == bool else keep
        given = self.probabilities
        return replace(
            self,
            rows=self.rows.iloc[where].reset_index(drop=True),
            embeddings=self.embeddings[where],
            probabilities=given[where] if isinstance(given, np.ndarray) else [given[i] for i in where],
        )


def uuid7(timestamp: datetime, *identity: str) -> str:
    """RFC 9562 version 7 uuid: milliseconds first, the rest a hash of `identity`, so it repeats.

    >>> uuid7(datetime(2026, 1, 5, tzinfo=UTC), "r1")
    '019b8b74-1800-75ca-ba2e-f08341255975'
    """
    millis = _millis(timestamp)
    tail = hashlib.blake2b("\x1f".join(identity).encode(), digest_size=10).digest()
    raw = bytearray(millis + tail)
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return str(UUID(bytes=bytes(raw)))


def uuid7_floor(timestamp: datetime) -> str:
    """No id made at this time or later sorts before it.

    >>> uuid7_floor(datetime(2026, 1, 5, tzinfo=UTC))
    '019b8b74-1800'
    """
    digits = _millis(max(timestamp, datetime(1970, 1, 1, tzinfo=UTC))).hex()
    return f"{digits[:8]}-{digits[8:]}"


def _millis(timestamp: datetime) -> bytes:
    return int(timestamp.timestamp() * 1000).to_bytes(6, "big")


def is_uuid7(text: str) -> bool:
    """Whether a text has the form of our ids.

    >>> is_uuid7("019b8b74-1800-75ca-ba2e-f08341255975"), is_uuid7("17")
    (True, False)
    """
    try:
        return UUID(text).version == 7
    except ValueError:
        return False


def hash_user(user: str) -> str:
    """What the store keeps of a user: enough to route and group by, not the name.

    >>> hash_user("u0577"), hash_user("")
    ('cbae851becaadb26', '')
    """
    return hashlib.blake2b(user.encode(), digest_size=8).hexdigest() if user else ""


def bucket(key: str, salt: str = "") -> float:
    """A stable place in [0, 1) for a key: who falls into which share of the traffic.

    >>> 0 <= bucket("a", "rollout-1") < 1
    True
    """
    digest = hashlib.blake2b(f"{salt}\x1f{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def log_place(request_id: str) -> float:
    """A stable place in [0, 1) for a request: a log that keeps a share of all keeps those below it."""
    return bucket(request_id, salt="log")


def evenly(request_ids: Iterable[str], kept: Array) -> Array:
    """(n,) True for the rows that one uniform draw would have kept, whatever else was kept."""
    share = float(kept.min()) if len(kept) else 1.0
    if share >= 1:
        return np.ones(len(kept), dtype=bool)
    return np.array([log_place(r) < share for r in request_ids])


def utc(when: datetime) -> datetime:
    """The same instant in UTC; a time without a zone is taken as UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def to_json(record: Any) -> dict[str, Any]:
    """A record as plain JSON values (times in ISO 8601)."""
    found: dict[str, Any] = plain(record)
    return found
