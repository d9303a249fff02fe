"""What the triggers look at, read from the store."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from core.records import Decision
from flows.alerts import alerts_since
from flows.home import Home
from flows.state import progress_of
from pipelines.triggers.policy import Promise, Retrain, Round, Situation

USUAL_DAYS = 7  # of traffic that say how many requests a day has


def situation(home: Home, now: datetime) -> Situation:
    """What is known at `now`, of the time since the last retrain."""
    store, last = home.store, datetime.fromisoformat(progress_of(home)["last"])
    since, said = now - timedelta(days=USUAL_DAYS), store.decisions("triggers")
    return Situation(
        now=now,
        last_retrain=last,
        new_labels=store.unclaimed()[0],
        alerts=alerts_since(home, last, now),
        signals=[s for s in store.signals(since=now) if s.window_end == now],
        promise=_promise(home),
        rounds=_rounds(home, last, now),
        asked=next((d for d in said if d.timestamp == last and d.verdict == "retrain"), None),
        retrains=_retrains(home, said),
        requests_per_day=store.requests(since, now) / _days_with_requests(home, since, now),
    )


def _promise(home: Home) -> Promise | None:
    """The champion on the fixed evaluation set, as its test report has it.

    The set does not change, so a chain of champions that each lose a little is still held to what the
    first was.
    """
    version = home.store.champion()
    for d in reversed(home.store.decisions("testing")):
        if d.evidence.get("candidate") == version:
            return _wrong_of(d.evidence, "eval")
    first = [d for d in home.store.decisions("training") if d.key == "training/v0001"]
    return _wrong_of(first[0].evidence, "all") if first else None


def _wrong_of(metrics: dict[str, Any], name: str) -> Promise | None:
    rows, share = metrics.get(f"{name}_rows"), metrics.get(f"{name}_accuracy")
    return Promise(round(rows * (1 - share)), int(rows)) if rows and share is not None else None


def _rounds(home: Home, last: datetime, now: datetime) -> list[Round]:
    """The curation rounds since the last retrain, as far as they drew from the champion's answers."""
    version = home.store.champion()
    picks = home.store.picks(version, last, now)
    found = []
    for d in home.store.decisions("curation", since=last):
        answers = float(d.evidence.get("answered", {}).get(version, 0))
        if not (last < d.timestamp <= now) or not answers:
            continue
        here = [p for p in picks if p.timestamp == d.timestamp]
        found.append(
            Round(
                timestamp=d.timestamp,
                answers=answers,
                share=d.evidence["budget"] / d.evidence["requests"],
                wrong=tuple(p.chance for p in here if p.right is False),
                labels=sum(p.right is not None for p in here),
                picks=len(here),
            )
        )
    return found


def _retrains(home: Home, said: list[Decision]) -> list[Retrain]:
    """Every retrain whose candidate was tested, with the trigger's estimate of what was missing."""
    labels = home.store.labels_by_partition()
    took = {d.key: d.evidence.get("seconds") for d in home.store.decisions("training")}
    missing = {d.timestamp: d.evidence.get("shortfall") for d in said}
    return [
        Retrain(
            timestamp=d.timestamp,
            labels=labels.get(d.key.removeprefix("testing/"), 0),
            gain=d.evidence.get("audit_difference"),
            shortfall=missing.get(d.timestamp),
            seconds=took.get(d.key.replace("testing/", "training/")),
        )
        for d in home.store.decisions("testing")
    ]


def _days_with_requests(home: Home, since: datetime, now: datetime) -> float:
    """Days of [since, now) that the workspace was there for, at least a part of one."""
    first = [d.timestamp for d in home.store.decisions("training") if d.key == "training/v0001"]
    began = max([since, *first])
    return max((now - began) / timedelta(days=1), 1 / 24)
