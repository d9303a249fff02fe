"""`drift`: retrain on a drift alert, once some labels of the new traffic are there to learn from.

A truth that changed is drift, too (concept drift). It needs no more labels: the old rows are changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from core.episodes import words_now
from core.evidence import AlertEvidence
from core.records.decisions import Decision
from pipelines.triggers.trigger import Situation, Trigger, alarms, in_days, last_seen

GOES_ON_DAYS = 3  # between two retrains for one alert: what goes on has brought something new by then


class Drift(Trigger):
    policy: Literal["drift"]
    min_labels: int = Field(10, ge=1, description="new labels without which a retrain teaches nothing")
    cooldown_days: float = Field(1, ge=0, description="days to leave between two retrains")

    def decide(self, situation: Situation) -> Decision:
        alerts = [a for a in alarms(situation, "drift", "concept") if not _suspicion(a)]
        if not alerts:
            return self.answer(situation, False, "no drift alert since the last retrain")
        fresh = [a for a in alerts if a.timestamp > situation.last_retrain]
        last, new, age = (fresh or alerts)[-1], situation.new_labels, in_days(situation.age)
        changed = any(map(_concept, fresh))  # the old rows teach it by now
        fires = False
        if new < self.min_labels and not changed:
            reason = (
                f"drift, but only {new} new {situation.truth}s of {self.min_labels} to learn it from"
            )
        elif not fresh and age < GOES_ON_DAYS:
            reason = f"drift goes on that the last retrain, {age:.1f} days ago, has answered"
        elif age < self.cooldown_days:
            pause = f"(cool-down {self.cooldown_days:g})"
            reason = f"drift, but the last retrain was {age:.1f} days ago {pause}"
        else:
            fires = True
            kind = "concept drift: " if changed else ""
            reason = (
                f"{kind}{_today(last, situation.now)}; {new} new {situation.truth}s to learn it from"
            )
        return self.answer(situation, fires, reason, alert=last.key, new_labels=new, age_days=age)


def _concept(alert: Decision) -> bool:
    return alert.read(AlertEvidence).kind == "concept"


def _suspicion(alert: Decision) -> bool:
    """Of a truth that may have changed; nothing was done about it yet."""
    return _concept(alert) and alert.severity == "info"


def _today(alert: Decision, now: datetime) -> str:
    """An alert with the numbers of today, or of the last day that had any, and when it began."""
    seen, words = last_seen(alert), words_now(alert)
    of = [f"on {seen:%Y-%m-%d %H:%M}"] if seen < now else []
    since = [f"since {alert.timestamp:%Y-%m-%d %H:%M}"] if alert.timestamp < seen else []
    return f"{words} ({', '.join([*of, *since])})" if of or since else words
