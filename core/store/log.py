"""How answers come into the prediction log, within a transaction of the caller."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, select

from core import schema
from core.database import among, insert_columns, insert_new, is_postgres, parts, plain
from core.records.answers import Detail, Prediction
from core.store.details import as_bytes, columns_of, table_of, take_detail
from core.store.served import count_served
from core.store.state import count

log = logging.getLogger(__name__)
AT_ONCE = 2000  # ids that one query carries; a writer's group has as many rows


def not_forgotten(db: Connection, rows: list[Prediction]) -> list[Prediction]:
    """Without those that have a tombstone: a server's spool may have had them all the time."""
    if plain(db, "SELECT 1 FROM tombstones LIMIT 1", ()).first() is None:
        return rows
    gone: set[str] = set()
    for part in parts((p.prediction_id for p in rows), AT_ONCE):
        query = f"SELECT row_id FROM tombstones WHERE row_id IN ({', '.join('?' * len(part))})"
        gone |= set(plain(db, query, tuple(part)).scalars())
    if gone:
        log.info("%d rows were forgotten before they came to the store: left out", len(gone))
        count(db, {"forgotten.left_out": len(gone)})
    return [p for p in rows if p.prediction_id not in gone]


def insert_answers(db: Connection, rows: Sequence[Prediction]) -> int:
    """Insert answers and count them by model; returns how many are new."""
    by_model: dict[tuple[str, str], list[Prediction]] = {}
    for row in rows:
        by_model.setdefault((row.model_version, row.variant), []).append(row)
    total = 0
    for (version, variant), answers in by_model.items():
        new = insert_columns(db, schema.predictions, _columns(answers))
        if whole := _stored(db, answers, new):
            details = [p.detail for p in whole]
            ids = [p.prediction_id for p in whole]
            insert_columns(db, table_of(type(details[0])), columns_of(ids, details))
        times = [p.timestamp for p in answers]
        count_served(db, version, variant, new, (min(times), max(times)))
        total += new
    return total


def last_group(db: Connection, writer: str) -> int:
    """The newest group of a writer that is in. Its row is locked: a commit whose outcome nobody
    knows, because the line broke, is over before we look."""
    lock = " FOR UPDATE" if is_postgres(db) else ""
    query = f"SELECT number FROM writers WHERE writer = ?{lock}"
    found = plain(db, query, (writer,)).scalar_one_or_none()
    if found is None:
        insert_new(db, schema.writers, [{"writer": writer, "number": 0}])
        found = plain(db, query, (writer,)).scalar_one()
    return int(found)


_VALUES = attrgetter(*schema.predictions.columns.keys())
_EMBEDDING = schema.predictions.columns.keys().index("embedding")


def _columns(rows: Sequence[Prediction]) -> list[Sequence[Any]]:
    """Predictions as the table's columns, arrays as bytes."""
    columns: list[Sequence[Any]] = list(zip(*map(_VALUES, rows), strict=True))
    if rows:
        columns[_EMBEDDING] = [None if x is None else as_bytes(x) for x in columns[_EMBEDDING]]
    return columns


def _stored(db: Connection, rows: Sequence[Prediction], new: int) -> Sequence[Prediction]:
    """Those that were stored. Another answer to the same request, under another id, was not."""
    if new == len(rows):
        return rows
    p = schema.predictions.c.prediction_id
    stored = {row[0] for row in among(db, select(p), p, (r.prediction_id for r in rows))}
    return [r for r in rows if r.prediction_id in stored]


def as_prediction(row: Row[Any], detail: type[Detail]) -> Prediction:
    values = dict(row._mapping)
    values["detail"] = take_detail(detail, values)
    if values["embedding"] is not None:
        values["embedding"] = np.frombuffer(values["embedding"], dtype=np.float16)
    return Prediction(**values)
