"""What the monitoring stage remembers of the traffic: a sample of each window, and the drift so far."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.records import Decision
from flows.home import Home
from monitoring.drift.embeddings import History
from monitoring.drift.types import DriftEpisode
from monitoring.signals.drift import WEEK
from monitoring.view import View

STATE = "drift story"


def history(home: Home, encoder: str, start: datetime) -> History:
    """What earlier windows left: a window that is looked at again sees what it saw the first time."""
    known = _before(home, start)
    episodes = tuple(DriftEpisode.from_json(e) for e in known["episodes"])
    return History(tuple(home.store.embeddings.samples(encoder, start)), episodes)


def remember(home: Home, view: View, now: datetime) -> tuple[DriftEpisode, ...]:
    """Keep samples of the traffic and how the story stands now; returns the episodes."""
    seen = view.traffic
    if isinstance(seen, str):
        return ()
    home.store.embeddings.put_samples(seen.drawn)
    before = _before(home, view.whole.start)
    stand = {
        "until": now.isoformat(),
        "episodes": [e.to_json() for e in seen.episodes],
    }
    kept = [
        s for s in home.store.state.get(STATE) or [] if before["until"] <= s["until"] < stand["until"]
    ]
    home.store.state.set(STATE, [*kept, stand])
    return seen.episodes


def kind_of(alert: Decision, episodes: tuple[DriftEpisode, ...]) -> dict[str, Any]:
    """The episode that a drift alert belongs to, as evidence."""
    slow = alert.evidence["signal"] == WEEK.name
    mine = [e for e in episodes if (e.kind == "gradual") is slow]
    return {"episode": mine[-1].to_json()} if mine else {}


def _before(home: Home, start: datetime) -> dict[str, Any]:
    """The newest stand of the story that does not know of the traffic from `start` on."""
    nothing: dict[str, Any] = {"until": "", "episodes": []}
    kept = home.store.state.get(STATE) or []
    return next((s for s in reversed(kept) if s["until"] <= start.isoformat()), nothing)
