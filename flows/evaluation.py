"""Are there enough evaluation rows to judge a candidate by? Asked before one is trained for nothing."""

from __future__ import annotations

from datetime import datetime

from flows.session import Session
from pipelines.datasets.history import list_versions
from pipelines.testing.verdict import too_few


def too_little(session: Session, now: datetime, new_labels: int) -> str:
    """Why no candidate could be judged now, "" where one can.

    The rows of the newest dataset version, with the audit labels that no version has yet. Labels that
    only test while they are new (`datasets.recent_days`) are taken for `recent` rows.
    """
    versions = list_versions(session.workspace.root)
    rows = dict(versions[-1].rows) if versions else {}
    there = {name: rows.get(name, 0) for name in ("eval", "audit", "recent")}
    there["audit"] += session.store.at(now).labels.unclaimed()[1]
    if session.strategy.datasets.recent_days:
        there["recent"] += new_labels
    needed = session.strategy.testing.min_rows
    return "" if max(there.values()) >= needed else too_few(there, needed)
