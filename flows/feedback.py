"""What users said of answers elsewhere, from a file; each row goes the way of POST /v1/feedback.

prediction_id,kind,value,user,time
019b8b74-1800-75ca-ba2e-f08341255975,thumbs,down,u0214,2026-01-05 08:30:00
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.cells import decoded, unstorable
from core.errors import DataError
from core.ids import hash_user
from core.readers import Refused, excerpt, nearest, read_table
from core.records.answers import Feedback
from core.tables import as_string, as_time, bounded, missing_columns
from flows.session import Session
from serving.feedback import Remark, check, taken
from serving.service import Service

NEEDED = ("prediction_id", "kind", "value")


@dataclass(frozen=True)
class ImportedFeedback:
    new: int
    known: int  # already there
    refused: list[Refused]


def import_feedback(session: Session, path: Path, now: datetime) -> ImportedFeedback:
    """Store what the rows of a CSV, JSONL or Parquet file say; again changes nothing. Raises DataError
    when the file cannot be used."""
    table = read_table(path)
    if missing := [c for c in NEEDED if c not in table.columns]:
        near = [f"'{n}' to {c}" for c in missing if (n := nearest(c, table.columns))]
        do = f"rename {', '.join(near)}" if near else ""
        expected = "columns prediction_id, kind, value, and if known user and time"
        raise missing_columns(path, table.columns, missing, expected, do)
    logging, store = session.strategy.logging, session.store
    service = Service(store, session.registry.load, logging.max_text_characters, policy=logging)
    found = [
        record if isinstance(record, Refused) else _checked(service, *record, now)
        for record in bounded(path, table, "value")
    ]
    good = {x.feedback_id: x for x in found if isinstance(x, Feedback)}
    before = store.feedback.count()
    store.feedback.add(list(good.values()))
    new = store.feedback.count() - before
    refused = [x for x in found if isinstance(x, Refused)]
    return ImportedFeedback(new, len(found) - len(refused) - new, refused)


def _checked(
    service: Service, row: int, values: Mapping[str, Any], now: datetime
) -> Feedback | Refused:
    """A row as it is stored, or why not."""
    task, given = service.store.task, {name: decoded(cell) for name, cell in values.items()}
    for cell in given.values():
        if isinstance(cell, str) and (why := unstorable(cell)):
            return Refused(row, why, excerpt(cell))
    key, kind = (as_string(given.get(c)).strip() for c in ("prediction_id", "kind"))
    user, raw = as_string(given.get("user")), given.get("time")
    when = as_time(raw) if as_string(raw) else now
    if known := next((k for k in task.feedback if k == kind), None):
        if when is None or when > now:
            return Refused(row, "not a time up to now, as 2026-01-05 08:30:00 is", excerpt(raw))
        try:
            remark = Remark(key, known, given.get("value"), hash_user(user))
            item = taken(remark, when, "", task, service)
            check(item, service, service.store)
        except DataError as fault:
            return Refused(row, fault.what, excerpt(fault.got))
        return item
    return Refused(row, f"no kind of feedback, expected one of {', '.join(task.feedback)}", kind)
