"""How many answers of each model the log took, and when the first and the last were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, delete, func, insert, select

from core import schema
from core.store.state import State

_T, _P = schema.served, schema.predictions


@dataclass(frozen=True)
class Answers:
    """What one model answered as one variant, those since deleted included."""

    model_version: str
    variant: str
    predictions: int
    since: datetime
    until: datetime


class Served(State):
    """A running count: counting ten million rows takes seconds."""

    def served(self, model_version: str) -> list[Answers]:
        query = select(_T).where(_T.c.model_version == model_version).order_by(_T.c.since)
        return self._records(query, Answers)

    def count_served(self) -> None:
        """For a store that did not yet count them: once, over the whole log."""
        query = select(
            _P.c.model_version,
            _P.c.variant,
            func.count(),
            func.min(_P.c.timestamp),
            func.max(_P.c.timestamp),
        ).group_by(_P.c.model_version, _P.c.variant)
        with self._write() as db:
            db.execute(delete(_T))
            db.execute(insert(_T).from_select([c.name for c in _T.columns], query))

    def _add_served(
        self, db: Connection, version: str, variant: str, new: int, times: tuple[datetime, datetime]
    ) -> None:
        if not new:
            return
        query = self._dialect.insert(_T)
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
