"""Who is champion, and what a turn decides without a trigger."""

from __future__ import annotations

from datetime import datetime

from core.records import Decision
from core.state import Champion
from flows.home import Home


def set_champion(home: Home, version: str) -> None:
    """Make a version the champion: for the registry first, then for whoever serves."""
    home.registry.point("champion", version)
    home.store.state.write(Champion(version))


def waiting(now: datetime, verdict: str, reason: str) -> Decision:
    """What a turn decides of a retrain without asking the trigger."""
    return Decision(f"trigger/{now.isoformat()}", "triggers", now, verdict, reason)
