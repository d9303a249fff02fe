"""What servers say of themselves, and rows that failed data quality checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from core import schema
from core.database import Database, parts
from core.records import Quarantined, SystemSample

KEPT = timedelta(days=35)  # of samples: a month to look back at


class System(Database):
    """System samples and the quarantine."""

    def put_system(self, sample: SystemSample) -> None:
        """Keep a sample, and let go of those that are too old for anybody to look at."""
        t = schema.system
        with self._write() as db:
            self._replace(db, t, [asdict(sample)])
            db.execute(delete(t).where(t.c.timestamp < sample.timestamp - KEPT))

    def system(self, start: datetime, end: datetime) -> list[SystemSample]:
        """The samples of (start, end], oldest first."""
        t = schema.system
        query = select(t).where(t.c.timestamp > start, t.c.timestamp <= end)
        return self._records(query.order_by(t.c.timestamp, t.c.source), SystemSample)

    def put_quarantine(self, rows: Sequence[Quarantined]) -> None:
        with self._write() as db:
            self._replace(db, schema.quarantine, [asdict(r) for r in rows])

    def quarantine(self, since: datetime | None = None) -> list[Quarantined]:
        """Rows that failed a check, oldest first."""
        t = schema.quarantine
        query = select(t).order_by(t.c.timestamp, t.c.request_id)
        return self._records(query.where(t.c.timestamp >= since) if since else query, Quarantined)

    def quarantined(self, request_ids: Sequence[str]) -> set[str]:
        """Which of these requests failed a check."""
        t = schema.quarantine.c.request_id
        with self._read() as db:
            return {r for part in parts(request_ids) for r in db.scalars(select(t).where(t.in_(part)))}
