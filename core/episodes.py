"""What is wrong now: a signal that stays bad is one alert, from its first bad window to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from core.evidence import AlertEvidence
from core.records.decisions import Decision, Severity
from core.stored import Remembered


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
class Episodes(Remembered):
    """All of them after the turn at `at`; what they were `before` it lets that turn be done again."""

    KEY = "alerts"

    at: datetime | None = None
    episodes: list[Episode] = field(default_factory=list)
    opened: int = 0  # alerts ever
    before: Episodes | None = None

    def stored(self) -> Any:
        found = replace(self, before=None).values()
        return {**found, "before": replace(self.before, before=None).values() if self.before else None}

    def until(self, now: datetime) -> Episodes:
        """What was known when the turn at `now` began."""
        if self.at == now:
            return self.before or Episodes()
        return self

    def but(self, changed: Sequence[Episode], opened: int) -> Episodes:
        """With what something else than a window opened or ended: the turn at `at`, done again, keeps
        it."""
        keys = {e.key for e in changed}

        def whole(of: Episodes) -> list[Episode]:
            return [*(e for e in of.episodes if e.key not in keys), *changed]

        before = self.before and replace(self.before, episodes=whole(self.before))
        return replace(self, episodes=whole(self), opened=self.opened + opened, before=before)

    @property
    def open(self) -> list[Episode]:
        return [e for e in self.episodes if e.over is None]


def words_now(alert: Decision) -> str:
    """An alert with the numbers of the last window in which it was bad; its reason has the first."""
    return alert.read(AlertEvidence).latest or alert.reason
