"""What the monitoring stage remembers of the traffic: a sample of each window, and the drift so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.evidence import AlertEvidence
from core.stored import Remembered, plain
from flows.session import Session
from monitoring.drift.embeddings import History
from monitoring.drift.types import DriftEpisode
from monitoring.signals.drift import WEEK
from monitoring.view import View


@dataclass(frozen=True)
class Stand:
    """The drift episodes as they were known after a turn."""

    until: datetime | None = None
    episodes: list[DriftEpisode] = field(default_factory=list)


@dataclass(frozen=True)
class DriftStory(Remembered):
    KEY, BARE = "drift story", True

    stands: list[Stand] = field(default_factory=list)  # oldest first


def history(session: Session, encoder: str, start: datetime) -> History:
    """What earlier windows left: a window that is looked at again sees what it saw the first time."""
    known = _before(session, start)
    return History(tuple(session.store.embeddings.samples(encoder, start)), tuple(known.episodes))


def remember(session: Session, view: View, now: datetime) -> tuple[DriftEpisode, ...]:
    """Keep samples of the traffic and how the story stands now; returns the episodes."""
    seen = view.embedding_drift
    if isinstance(seen, str):
        return ()
    session.store.embeddings.put_samples(seen.drawn)
    before, stand = _before(session, view.whole.start), Stand(now, list(seen.episodes))
    known = session.store.state.read(DriftStory).stands
    kept = [s for s in known if s.until and (before.until or s.until) <= s.until < now]
    session.store.state.write(DriftStory([*kept, stand]))
    return seen.episodes


def kind_of(alert: AlertEvidence, episodes: tuple[DriftEpisode, ...]) -> dict[str, Any] | None:
    """The episode that a drift alert belongs to, as evidence."""
    slow = alert.signal == WEEK.name
    mine = [e for e in episodes if (e.kind == "gradual") is slow]
    return plain(mine[-1]) if mine else None


def _before(session: Session, start: datetime) -> Stand:
    """The newest stand of the story that does not know of the traffic from `start` on."""
    known = session.store.state.read(DriftStory).stands
    return next((s for s in reversed(known) if s.until and s.until <= start), Stand())
