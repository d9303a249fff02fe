"""The labels that a partition of the reservoir took, as they were when it took them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Subquery,
    and_,
    false,
    func,
    literal,
    null,
    select,
    true,
    union_all,
)

from core import schema
from core.database import insert_new
from core.records.labels import Kind
from core.store.details import table_of
from core.store.tasks import same
from core.tasks import Task

WEAK = "feedback"  # policy and annotator of labels that came of feedback
_A, _P, _K = schema.annotations, schema.predictions, schema.tasks
_H, _W = schema.relabelled, schema.weak_labels


def partition_rows(partition: str, task: Task) -> Select[Any]:
    """The rows of a partition, in order of time; `messages` are null where an input is its text."""
    taken, d = took(partition, task.kind), table_of(task.detail)
    asked = and_(same(taken, _K), ~taken.c.weak)
    return (
        select(
            _P.c.prediction_id,
            _P.c.timestamp,
            _P.c.text.label("input"),
            taken.c.target,
            taken.c.kind,
            _P.c.embedding,
            _P.c.encoder,
            _P.c.segments,
            _P.c.user_key,
            func.coalesce(_K.c.policy, WEAK).label("policy"),
            func.coalesce(_K.c.round, "").label("round"),
            (_K.c.propensity * _P.c.propensity).label("propensity"),
            func.coalesce(_K.c.audit, False).label("audit"),
            taken.c.annotator,
            taken.c.trust,
            d.c.get("messages", null()).label("messages"),
        )
        .select_from(taken.join(_P, same(taken, _P)).outerjoin(d, same(d, _P)).outerjoin(_K, asked))
        .order_by(_P.c.timestamp, _P.c.prediction_id)
    )


def take_words(db: Connection, partition: str, words: Sequence[Mapping[str, Any]]) -> None:
    """Users' words become labels of a partition."""
    names = ("prediction_id", "label", "kind", "trust")
    insert_new(db, _W, [{**{n: w[n] for n in names}, "partition": partition} for w in words])


def took(partition: str, kind: Kind) -> Subquery:
    """The truths of a partition, as they were when it took them. kind: of users' words."""
    asked = (
        select(
            t.c.prediction_id,
            t.c.value.label("target"),
            t.c.kind,
            t.c.annotator,
            literal(1.0).label("trust"),
            false().label("weak"),
        ).where(t.c.partition == partition)
        for t in (_A, _H)
    )
    weak = select(_W.c.prediction_id, _W.c.label, literal(kind), literal(WEAK), _W.c.trust, true())
    return union_all(*asked, weak.where(_W.c.partition == partition)).subquery()
