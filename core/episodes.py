"""What is wrong now: a signal that stays bad is one alert, from its first bad window to its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from core.records import Decision, Severity, to_json

STATE = "alerts"  # its name in the store
TIMES = ("opened", "last", "over")


@dataclass(frozen=True)
class Episode:
    """One alert while it is open, and for some days after."""

    key: str  # of its decision, alert/SIGNAL/WINDOW_END
    signal: str
    segment: str  # "" is all traffic
    severity: Severity  # the worst it has been
    opened: datetime
    last: datetime  # end of the last window that was bad
    windows: int = 1  # that were bad
    over: datetime | None = None  # end of the first window that was good again
    model: str = ""  # the version it is about; "" where it is about the traffic


@dataclass(frozen=True)
class Episodes:
    """All of them after the turn at `at`; what they were `before` it lets that turn be done again."""

    at: datetime | None = None
    episodes: list[Episode] = field(default_factory=list)
    opened: int = 0  # alerts ever
    before: Episodes | None = None

    @classmethod
    def of(cls, stored: dict[str, Any] | None) -> Episodes:
        """As `stored` under STATE; None is a workspace that never had an alert."""
        if stored is None:
            return cls()
        at, before = stored["at"], stored["before"]
        return cls(
            at=datetime.fromisoformat(at) if at else None,
            episodes=[_episode(e) for e in stored["episodes"]],
            opened=stored["opened"],
            before=cls.of(before) if before else None,
        )

    def stored(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat() if self.at else None,
            "episodes": [to_json(e) for e in self.episodes],
            "opened": self.opened,
            "before": replace(self.before, before=None).stored() if self.before else None,
        }

    def until(self, now: datetime) -> Episodes:
        """What was known when the turn at `now` began."""
        if self.at == now:
            return self.before or Episodes()
        return self

    @property
    def open(self) -> list[Episode]:
        return [e for e in self.episodes if e.over is None]


def words_now(alert: Decision) -> str:
    """An alert with the numbers of the last window in which it was bad; its reason has the first."""
    return str(alert.evidence.get("latest") or alert.reason)


def _episode(stored: dict[str, Any]) -> Episode:
    times = {n: datetime.fromisoformat(stored[n]) for n in TIMES if stored[n]}
    return Episode(**{**stored, **times})
