"""How many answers of each model the log took, and when the first and the last were: a running count,
since counting ten million rows takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case

from core import schema
from core.database import insert

_T = schema.served


@dataclass(frozen=True)
class ServedAnswers:
    """What one model answered as one variant, those since deleted included."""

    model_version: str
    variant: str
    predictions: int
    since: datetime
    until: datetime


def count_served(
    db: Connection, version: str, variant: str, new: int, times: tuple[datetime, datetime]
) -> None:
    if not new:
        return
    query = insert(db, _T)
    more = query.excluded
    row = {
        "model_version": version,
        "variant": variant,
        "predictions": new,
        "since": times[0],
        "until": times[1],
    }
    change = {
        "predictions": _T.c.predictions + more.predictions,
        "since": case((more.since < _T.c.since, more.since), else_=_T.c.since),
        "until": case((more.until > _T.c.until, more.until), else_=_T.c.until),
    }
    keys = ["model_version", "variant"]
    db.execute(query.on_conflict_do_update(index_elements=keys, set_=change), row)
