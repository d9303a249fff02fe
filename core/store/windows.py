"""The prediction log as it is read: windows of traffic, answers side by side, counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, and_, func, or_, select

from core import schema
from core.garbage import uncollected
from core.records import ANSWERED, Window, evenly, uuid7_floor
from core.store import frames
from core.store.naming import Naming

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_A_TIME = 5000


class Windows(Naming):
    """Reads what `Predictions` wrote, with what is known of its truth."""

    def window(self, start: datetime, end: datetime, most: int | None = None) -> Window:
        """Every kept request of [start, end), in time order, with what is known of its truth.

        Where the log has more than `most` rows there, about so many: drawn evenly by the hash in their
        ids, so that they are the same rows whenever it is asked, and fewer are some of more.
        """
        share = 1.0 if most is None else min(1.0, most / max(1, self._logged(start, end)))
        drawn = [] if share == 1 else [_drawn(start, end, share)]
        return self._window(start, end, share, drawn)

    def labelled(self, start: datetime, end: datetime) -> Window:
        """The kept requests of [start, end) whose truth is known, in time order."""
        a = schema.annotations  # few: they are where to begin
        known = select(a.c.prediction_id).where(*_ids(a, start, end))
        return self._window(start, end, 1.0, [schema.predictions.c.prediction_id.in_(known)])

    def _window(
        self, start: datetime, end: datetime, share: float, only: list[ColumnElement[bool]]
    ) -> Window:
        p, a, k = schema.predictions, schema.annotations, schema.tasks
        joined = p.outerjoin(a, a.c.prediction_id == p.c.prediction_id)
        joined = joined.outerjoin(k, k.c.prediction_id == p.c.prediction_id)
        query = (
            select(*frames.columns(self._called(p.c.label), self._held(a.c.label)))
            .select_from(joined)
            .where(p.c.timestamp >= start, p.c.timestamp < end, p.c.variant.in_(ANSWERED), *only)
            .order_by(p.c.timestamp, p.c.prediction_id)
            .execution_options(stream_results=True)
        )
        with self._read() as db, uncollected():
            return frames.window(start, end, db.execute(query).partitions(ROWS_AT_A_TIME), share)

    def _logged(self, start: datetime, end: datetime) -> int:
        """Rows of about [start, end), shadows too, counted without reading any."""
        query = select(func.count()).where(*_ids(schema.predictions, start, end))
        with self._read() as db:
            return int(db.execute(query).scalar_one())

    def answers(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Answers and shadow answers of [start, end): request_id, model_version, variant, label,
        score, latency_ms, user_key, truth (of the request, whoever answered it), complained (the user
        did, of this answer, before `end`: thumbs down, or a correction to another label). Where the log
        keeps some requests more often than others, those that were drawn evenly."""
        import pandas as pd

        p, a = schema.predictions, schema.annotations
        answered = p.alias("answered")
        truth = (
            select(answered.c.request_id, self._held(a.c.label).label("truth"))
            .join(a, a.c.prediction_id == answered.c.prediction_id)
            .where(answered.c.timestamp >= start, answered.c.timestamp < end)
            .subquery()
        )
        query = (
            select(
                p.c.request_id,
                p.c.model_version,
                p.c.variant,
                self._called(p.c.label).label("label"),
                p.c.score,
                p.c.latency_ms,
                p.c.user_key,
                p.c.propensity.label("kept"),
                truth.c.truth,
                self._complained(end).label("complained"),
            )
            .select_from(p.outerjoin(truth, truth.c.request_id == p.c.request_id))
            .where(p.c.timestamp >= start, p.c.timestamp < end)
            .order_by(p.c.timestamp, p.c.prediction_id)
        )
        with self._read() as db:
            result = db.execute(query)
            rows = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
        even = evenly(rows["request_id"], rows["kept"].to_numpy(dtype=float))
        return rows[even].drop(columns="kept").reset_index(drop=True)

    def complained(self, start: datetime, end: datetime) -> set[str]:
        """The prediction ids of answers of [start, end) that their users complained of before `end`."""
        p = schema.predictions
        query = select(p.c.prediction_id).where(p.c.timestamp >= start, p.c.timestamp < end)
        with self._read() as db:
            return set(db.execute(query.where(self._complained(end))).scalars())

    def requests(self, start: datetime | None = None, end: datetime | None = None) -> int:
        """How many requests of [start, end) were kept."""
        t = schema.predictions
        query = select(func.count()).select_from(t).where(t.c.variant.in_(ANSWERED))
        query = query.where(t.c.timestamp >= start) if start else query
        query = query.where(t.c.timestamp < end) if end else query
        with self._read() as db:
            return int(db.execute(query).scalar_one())

    def _complained(self, end: datetime) -> Any:
        f, p = schema.feedback, schema.predictions
        down = and_(f.c.kind == "thumbs", f.c.value == "down")
        another = self._called(f.c.value) != self._called(p.c.label)
        corrected = and_(f.c.kind == "correction", another)
        about = f.c.prediction_id == p.c.prediction_id
        return select(f).where(about, f.c.timestamp < end, or_(down, corrected)).exists()


def _ids(rows: FromClause, start: datetime, end: datetime) -> list[ColumnElement[bool]]:
    """The rows of [start, end) and of the rest of its last millisecond, by the time in their ids: the
    index has all that is asked for, and the rows, with their embeddings, are not touched."""
    after = uuid7_floor(end + timedelta(milliseconds=1))
    return [rows.c.prediction_id >= uuid7_floor(start), rows.c.prediction_id < after]


def _drawn(start: datetime, end: datetime, share: float) -> ColumnElement[bool]:
    """Rows whose id ends in a hash below `share`."""
    rows = schema.predictions.alias("drawn")
    end_of_id = func.substr(rows.c.prediction_id, 29)
    below = f"{int(share * 16**8):08x}"
    few = select(rows.c.prediction_id).where(*_ids(rows, start, end), end_of_id < below)
    return schema.predictions.c.prediction_id.in_(few)
