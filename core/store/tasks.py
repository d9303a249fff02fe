"""Queries about annotation tasks, within a transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, select, update

from core import schema
from core.database import insert_new, parts
from core.records.labels import AnnotationTask
from core.store.embeddings import text_hash
from core.store.naming import Naming

_K, _P, _A = schema.tasks, schema.predictions, schema.annotations


def same(left: FromClause, right: FromClause) -> Any:
    return left.c.prediction_id == right.c.prediction_id


def task_rows(naming: Naming) -> Select[Any]:
    """Tasks in order, with text, the model's guess and the request, as far as the log has them."""
    columns = (_K, _P.c.text, naming.called(_P.c.output).label("predicted"), _P.c.request_id)
    query = select(*columns).join(_P, same(_K, _P))
    return query.order_by(_K.c.timestamp, _K.c.prediction_id)


def as_task(row: Row[Any]) -> AnnotationTask:
    names = AnnotationTask.__dataclass_fields__
    return AnnotationTask(**{n: v for n, v in row._mapping.items() if n in names})


def unsettled() -> list[ColumnElement[bool]]:
    return [_K.c.unsettled.is_(True), ~select(_A).where(same(_A, _K)).exists()]


def lock_tasks(db: Connection, prediction_ids: Sequence[str]) -> list[str]:
    """Nobody else settles these tasks while this transaction lasts; returns the tasks."""
    k, found = _K.c.prediction_id, list[str]()
    for part in parts(sorted(set(prediction_ids))):
        query = select(k).where(k.in_(part)).order_by(k).with_for_update()
        found += db.execute(query).scalars()
    return found


def close_tasks(db: Connection, prediction_ids: Sequence[str]) -> None:
    """The tasks among these that have their annotation leave the queue's index."""
    for part in parts(prediction_ids):
        done = select(_A).where(same(_A, _K)).exists()
        db.execute(update(_K).where(_K.c.prediction_id.in_(part), done).values(unsettled=False))


def keep_history(db: Connection, annotation: Row[Any]) -> None:
    """An annotation as it was, with the partition that took it: claimed again, it is as it was."""
    row = {
        **annotation._mapping,
        "partition": annotation.partition or "",
        "value_hash": text_hash(annotation.value),
    }
    insert_new(db, schema.relabelled, [row])
