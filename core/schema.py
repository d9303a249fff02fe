"""The tables of the store. Times are UTC, arrays are raw float16 bytes, segments are JSON.

Which rows an index is of stands here for SQLite; `core.database` tells Postgres the same.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.types import TypeDecorator

VERSION = 7
metadata = MetaData()


class Utc(TypeDecorator[datetime]):
    """A time that is UTC in Python and zoneless in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Any) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, _dialect: Any) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("timestamp", Utc, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("variant", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("embedding", LargeBinary),
    Column("encoder", Text, nullable=False),
    Column("segments", JSON, nullable=False),
    Column("user_key", String(32), nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("propensity", Float, nullable=False, server_default="1.0"),
    UniqueConstraint("request_id", "variant"),
    Index("predictions_by_time", "timestamp"),
)

classification_details = Table(  # new in 6: what only a classifier says of its answer
    "classification_details",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("probabilities", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

generation_details = Table(  # new in 7: what only a model that writes says of its answer
    "generation_details",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("messages", JSON, nullable=False),  # where the input is more than the text
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("finish_reason", Text, nullable=False),
    Column("mean_logprob", Float),
    Column("min_logprob", Float),
    Column("first_token_ms", Float),
    sqlite_with_rowid=False,
)

tested_answers = Table(  # new in 7: what a model answered when it was tested; to ask again is dear
    "tested_answers",
    metadata,
    Column("model", String(64), primary_key=True),  # SHA-256 of its weights
    Column("input_hash", String(32), primary_key=True),  # a WritingModel's prompt_ids
    Column("text_hash", String(32), nullable=False, index=True),  # of its text, to forget it by
    Column("output", Text, nullable=False),
    sqlite_with_rowid=False,
)

scores = Table(  # new in 6: how right an answer is, where somebody knows the truth
    "scores",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("value", Float, nullable=False),  # 0..1
    Column(
        "label_set", String(32), nullable=False
    ),  # the LabelSet.fingerprint whose names were compared
    sqlite_with_rowid=False,
)

profiles = Table(
    "profiles",
    metadata,
    Column("writer", String(36), primary_key=True),
    Column("hour", Utc, primary_key=True),
    Column("model_version", String(64), primary_key=True),
    Column("variant", String(16), primary_key=True),
    Column("encoder", Text, primary_key=True),
    Column("counts", JSON, nullable=False),
    Column("sums", LargeBinary, nullable=False),
    Column("squares", LargeBinary, nullable=False),
)

writers = Table(  # how far each writer's groups are in the store
    "writers",
    metadata,
    Column("writer", String(36), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

served = Table(  # answers in the log by model, so that nobody has to count them
    "served",
    metadata,
    Column("model_version", String(64), primary_key=True),
    Column("variant", String(16), primary_key=True),
    Column("predictions", BigInteger, nullable=False),
    Column("since", Utc, nullable=False),
    Column("until", Utc, nullable=False),
)

tombstones = Table(  # rows that were forgotten; nothing of what they said
    "tombstones",
    metadata,
    Column("row_id", String(36), primary_key=True),
    Column("timestamp", Utc, nullable=False),  # when it was asked for
    Column("asked", String(16), nullable=False),  # by user | prediction | text
    Column("done", Boolean, nullable=False, index=True),
)

feedback = Table(
    "feedback",
    metadata,
    Column("feedback_id", Text, primary_key=True),
    Column("prediction_id", String(36), nullable=False, index=True),
    Column("timestamp", Utc, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("value", Text, nullable=False),
    Column("source", Text, nullable=False),  # who says so, as the caller tells it
    Column("caller", Text, nullable=False, server_default=""),  # new in 5: as the server saw it
    Index("feedback_by_time", "timestamp"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("timestamp", Utc, nullable=False, index=True),
    Column("round", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("audit", Boolean, nullable=False),
    Column("unsettled", Boolean, nullable=False, server_default=true()),  # false once it has
    # its annotation; it only keeps the queue's index small, the annotation is what counts
)
Index(
    "tasks_unsettled",
    tasks.c.timestamp,
    tasks.c.prediction_id,
    sqlite_where=tasks.c.unsettled.is_(True),
)

annotations = Table(
    "annotations",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("value", Text, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("timestamp", Utc, nullable=False),
    Column("partition", Text, index=True),  # the reservoir partition that took it, once one did
    Column("kind", String(16), nullable=False, server_default="label"),  # new in 6
)

relabelled = Table(  # annotations as they were before they were corrected
    "relabelled",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("timestamp", Utc, primary_key=True),
    Column(
        "value_hash", String(32), primary_key=True
    ),  # new in 7: a key of Postgres has 2.7 kB at most
    Column("value", Text, nullable=False),
    Column("partition", Text, primary_key=True, index=True),  # "" where none had taken it
    Column("annotator", Text, nullable=False),
    Column("kind", String(16), nullable=False, server_default="label"),  # new in 6
)

weak_labels = Table(  # what users said of answers, as a dataset took it
    "weak_labels",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("label", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("trust", Float, nullable=False),
    Column("partition", Text, nullable=False, index=True),
)

votes = Table(  # what each annotator said; a skip has no label
    "votes",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("annotator", Text, primary_key=True, index=True),
    Column("label", Text),
    Column("timestamp", Utc, nullable=False),
    Column("note", Text, nullable=False),
    Column("counted", Boolean, nullable=False),  # the task's annotation stands on it
)

unconfirmed = Table(  # votes under names that nobody has used: they wait until one is meant
    "unconfirmed",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("annotator", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("timestamp", Utc, nullable=False),
    Column("note", Text, nullable=False),
)

leases = Table(  # who has a task before them, and until when
    "leases",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("annotator", Text, primary_key=True, index=True),
    Column("until", Utc, nullable=False, index=True),
)

reviews = Table(  # labels that look wrong
    "reviews",
    metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("timestamp", Utc, nullable=False),
    Column("label", Text, nullable=False),
    Column("suggested", Text, nullable=False),
    Column("score", Float, nullable=False),  # 0..1, the lower the worse
    Column("text", Text, nullable=False),
    Column("answered", Utc),
    Index(
        "reviews_open",
        "score",
        sqlite_where=text("answered IS NULL"),
    ),
)

signals = Table(
    "signals",
    metadata,
    Column("name", Text, primary_key=True),
    Column("window_end", Utc, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("window_start", Utc, nullable=False),
    Column("value", Float),
    Column("unit", Text, nullable=False),
    Column("baseline", Float),
    Column("low", Float),
    Column("high", Float),
    Column("note", Text, nullable=False),
    Column("reference", Text, nullable=False, server_default=""),
    Index("signals_by_time", "window_end"),
)

system = Table(  # what a server says of itself, a row a minute
    "system",
    metadata,
    Column("source", Text, primary_key=True),
    Column("timestamp", Utc, primary_key=True, index=True),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("queue", BigInteger, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("gpu", BigInteger),
)

quarantine = Table(  # rows that failed data quality checks
    "quarantine",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("timestamp", Utc, nullable=False, index=True),
    Column("reasons", JSON, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("timestamp", Utc, nullable=False, index=True),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("severity", Text, nullable=False),
    Index("decisions_by_stage", "stage", "timestamp"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("rollout_id", Text, primary_key=True),
    Column("candidate", Text, nullable=False),
    Column("champion", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("share", Float, nullable=False),
    Column("started", Utc, nullable=False, index=True),
    Column("stage_started", Utc, nullable=False),
    Column("reason", Text, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("key", Text, primary_key=True),
    Column("result", JSON, nullable=False),
)

state = Table(
    "state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("text_hash", String(32), primary_key=True),
    Column("encoder", Text, primary_key=True),
    Column("embedding", LargeBinary, nullable=False),
)

samples = Table(  # some embeddings of each past window
    "samples",
    metadata,
    Column("encoder", Text, primary_key=True),
    Column("end", Utc, primary_key=True),
    Column("start", Utc, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("embeddings", LargeBinary, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),  # SHA-256 of the token, in hex
    Column("scopes", JSON, nullable=False),
    Column("created", Utc, nullable=False),
    Column("revoked", Utc),
)
