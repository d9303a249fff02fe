"""Who is champion, and what a turn decides without a trigger."""

from __future__ import annotations

from datetime import datetime

from core.records.decisions import Decision
from core.state import Champion
from flows.session import Session


def set_champion(session: Session, version: str) -> None:
    """Make a version the champion: for the registry first, then for whoever serves."""
    session.registry.point("champion", version)
    session.store.state.write(Champion(version))


def waiting(now: datetime, verdict: str, reason: str) -> Decision:
    """What a turn decides of a retrain without asking the trigger."""
    return Decision(f"trigger/{now.isoformat()}", "triggers", now, verdict, reason)
