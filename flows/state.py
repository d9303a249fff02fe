"""What a workspace knows of itself: who is champion, and how far its retrains have come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.records import Decision
from flows.home import Home


def crown(home: Home, version: str) -> None:
    """Make a version the champion: for the registry first, then for whoever serves."""
    home.registry.point("champion", version)
    home.store.state.set("champion", version)


def progress_of(home: Home) -> dict[str, Any]:
    """How many dataset versions are done, when the last was asked for, and the plan under way."""
    return dict(
        home.store.state.get("retrains") or {"done": 0, "last": None, "plan": None, "result": {}}
    )


def waiting(now: datetime, verdict: str, reason: str) -> Decision:
    """What a turn decides of a retrain without asking the trigger."""
    return Decision(f"trigger/{now.isoformat()}", "triggers", now, verdict, reason)
