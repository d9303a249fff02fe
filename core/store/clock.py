"""The newest time of each kind of record, and how a clock that ran ahead is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from core import schema
from core.database import Database, upsert

ARRIVES = "arrives"  # by itself, while a turn is under way
DECIDED = "decided"
_COLUMNS = {  # what a record is called, of which kind it is, and where its time stands
    "an answer": (ARRIVES, schema.predictions.c.timestamp),
    "feedback": (ARRIVES, schema.feedback.c.timestamp),
    "a label": (ARRIVES, schema.annotations.c.timestamp),
    "a task": (DECIDED, schema.tasks.c.timestamp),
    "a rollout": (DECIDED, schema.rollouts.c.stage_started),
}
_SERVING = "serving"  # decides by itself, at the time of a server
_DERIVED = (schema.signals.c.window_end, schema.samples.c.end, schema.system.c.timestamp)
_MOVED = [  # every time that is said of a record and does not name it
    c
    for table in schema.metadata.sorted_tables
    if table not in {d.table for d in _DERIVED}
    for c in table.columns
    if isinstance(c.type, schema.Utc) and not c.primary_key
]


@dataclass
class ClockRepository:
    """Times of the records, whatever a machine's clock says."""

    database: Database

    def newest(self) -> list[tuple[str, str, datetime]]:
        """Of each kind that there is: its name, whether it was decided or arrives, its time."""
        d = schema.decisions
        serves = d.c.stage == _SERVING
        asked: list[tuple[str, str, Any]] = [
            (name, kind, select(func.max(c))) for name, (kind, c) in _COLUMNS.items()
        ]
        asked += [
            ("a decision", DECIDED, select(func.max(d.c.timestamp)).where(~serves)),
            ("a server's decision", ARRIVES, select(func.max(d.c.timestamp)).where(serves)),
        ]
        with self.database.read() as db:
            found = [(name, kind, db.execute(query).scalar()) for name, kind, query in asked]
        return [(name, kind, time) for name, kind, time in found if time]

    def set_back(self, now: datetime) -> dict[str, int]:
        """Give everything that claims to be later than `now` this time; signals of later windows are
        deleted. All of it or nothing; returns how many records of each table it was."""
        moved: dict[str, int] = {}
        with self.database.write() as db:
            for column in _MOVED:
                self._noted(db, moved, column, update(column.table).values({column: now}), now)
            for column in _DERIVED:
                self._noted(db, moved, column, delete(column.table), now)
            self._set_back_json(db, now)
        return {name: n for name, n in moved.items() if n}

    def _noted(
        self, db: Connection, moved: dict[str, int], column: Any, change: Any, now: datetime
    ) -> None:
        rows = db.execute(change.where(column > now)).rowcount
        moved[column.table.name] = max(rows, moved.get(column.table.name, 0))

    def _set_back_json(self, db: Connection, now: datetime) -> None:
        """Times that are remembered by name, and those in the evidence of decisions."""
        for table, column in ((schema.state, "value"), (schema.decisions, "evidence")):
            for row in db.execute(select(table)).mappings().all():
                before = dict(row)
                after = _no_later(before[column], now)
                if after != before[column]:
                    upsert(db, table, [{**before, column: after}])


def _no_later(value: Any, now: datetime) -> Any:
    """
    >>> from datetime import UTC
    >>> _no_later({"at": ["2099-01-01T00:00:00+00:00", "a 2099"]}, datetime(2026, 1, 5, tzinfo=UTC))
    {'at': ['2026-01-05T00:00:00+00:00', 'a 2099']}
    """
    if isinstance(value, dict):
        return {k: _no_later(v, now) for k, v in value.items()}
    if isinstance(value, list):
        return [_no_later(v, now) for v in value]
    if isinstance(value, str) and len(value) >= len("2099-01-01T00:00+00:00"):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            return value
        return now.isoformat() if time.tzinfo and time > now else value
    return value
