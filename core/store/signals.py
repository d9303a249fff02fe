"""What was measured: signals of windows, what servers say of themselves, rows that failed checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from core import schema
from core.database import Database, upsert
from core.records.answers import Quarantined
from core.records.signals import Signal, SystemSample

KEPT = timedelta(days=35)  # of samples: a month to look back at


@dataclass
class SignalRepository:
    """Signals, system samples and the quarantine."""

    database: Database

    def put(self, signals: Sequence[Signal]) -> None:
        with self.database.write() as db:
            upsert(db, schema.signals, [asdict(s) for s in signals])

    def read(
        self,
        since: datetime | None = None,
        name: str | None = None,
        until: datetime | None = None,
        segment: str | None = None,
    ) -> list[Signal]:
        """Of the windows that end in [since, until], in order of time; "" is the segment of all."""
        t = schema.signals
        query = select(t).order_by(t.c.window_end, t.c.name, t.c.segment)
        query = query.where(t.c.window_end >= since) if since else query
        query = query.where(t.c.window_end <= until) if until else query
        query = query.where(t.c.name == name) if name else query
        query = query.where(t.c.segment == segment) if segment is not None else query
        return self.database.records(query, Signal)

    def names(self) -> list[str]:
        t = schema.signals
        return self.database.column(select(t.c.name).distinct().order_by(t.c.name))

    def put_system(self, sample: SystemSample) -> None:
        """Keep a sample, and let go of those that are too old for anybody to look at."""
        t = schema.system
        with self.database.write() as db:
            upsert(db, t, [asdict(sample)])
            db.execute(delete(t).where(t.c.timestamp < sample.timestamp - KEPT))

    def system(self, start: datetime, end: datetime) -> list[SystemSample]:
        """The samples of (start, end], oldest first."""
        t = schema.system
        query = select(t).where(t.c.timestamp > start, t.c.timestamp <= end)
        return self.database.records(query.order_by(t.c.timestamp, t.c.source), SystemSample)

    def put_quarantine(self, rows: Sequence[Quarantined]) -> None:
        with self.database.write() as db:
            upsert(db, schema.quarantine, [asdict(r) for r in rows])

    def quarantine(self, since: datetime | None = None) -> list[Quarantined]:
        """Rows that failed a check, oldest first."""
        t = schema.quarantine
        query = select(t).order_by(t.c.timestamp, t.c.request_id)
        return self.database.records(
            query.where(t.c.timestamp >= since) if since else query, Quarantined
        )

    def quarantined(self, request_ids: Sequence[str]) -> set[str]:
        """Which of these requests failed a check."""
        t = schema.quarantine.c.request_id
        return {row[0] for row in self.database.among(select(t), t, request_ids)}
