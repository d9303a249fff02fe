"""What the triggers look at, read from the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from core.evidence import CurationEvidence, TestEvidence, TrainingEvidence, TriggerEvidence
from core.records.decisions import Decision
from core.state import Retrains
from core.store.queue import Pick
from core.tasks import RIGHT
from flows.alerts import alerts_since
from flows.session import Session
from pipelines.triggers.trigger import PromisedAccuracy, Retrain, Round, Situation

USUAL_DAYS = 7  # of traffic that say how many requests a day has
RETRAINS = 20  # of the past that say what one takes and gives
FIRST = "training/v0001"


def situation(session: Session, now: datetime) -> Situation:
    """What is known at `now`, of the time since the last retrain. What is older is looked up by its
    key, so the cost does not grow with the history."""
    store, last = session.store.at(now), session.store.state.read(Retrains).last or now
    since, asked = now - timedelta(days=USUAL_DAYS), _said(session, last)
    return Situation(
        now=now,
        last_retrain=last,
        new_labels=store.labels.unclaimed()[0],
        alerts=alerts_since(session.store, last, now),
        signals=[s for s in store.signals.read(since=now) if s.window_end == now],
        promise=_promise(session),
        rounds=_rounds(session, last, now),
        asked=asked if asked and asked.verdict == "retrain" else None,
        retrains=_retrains(session),
        requests_per_day=store.answers.count(since, now) / _days_with_requests(session, since, now),
        truth=session.task.truth,
    )


def _said(session: Session, when: datetime) -> Decision | None:
    """What the trigger of that turn said."""
    return session.store.decisions.get(f"trigger/{when.isoformat()}")


def _promise(session: Session) -> PromisedAccuracy | None:
    """The champion on the fixed evaluation set, as its test report has it.

    The set does not change, so a chain of champions that each lose a little is still held to what the
    first was.
    """
    tested = session.store.decisions.newest_with("testing", "candidate", session.store.state.champion())
    if tested:
        return _wrong_of(tested.read(TestEvidence).metrics, "eval")
    first = session.store.decisions.get(FIRST)
    metrics = first.read(TrainingEvidence).metrics if first else {}
    return _wrong_of(metrics, "evaluation") or _wrong_of(metrics, "all")  # as earlier versions said it


def _wrong_of(metrics: Mapping[str, float | None], name: str) -> PromisedAccuracy | None:
    rows, share = metrics.get(f"{name}_rows"), metrics.get(f"{name}_accuracy")
    return (
        PromisedAccuracy(round(rows * (1 - share)), int(rows)) if rows and share is not None else None
    )


def _rounds(session: Session, last: datetime, now: datetime) -> list[Round]:
    """The curation rounds since the last retrain, as far as they drew from the champion's answers."""
    version = session.store.state.champion()
    picks: dict[datetime, list[Pick]] = {}
    for pick in session.store.at(now).queue.picks(version, last, now):
        picks.setdefault(pick.timestamp, []).append(pick)
    found = []
    for d in session.store.decisions.read("curation", since=last):
        seen = d.read(CurationEvidence)
        answers = seen.answered.get(version, 0.0)
        if not (last < d.timestamp <= now) or not answers:
            continue
        here = picks.get(d.timestamp, [])
        found.append(
            Round(
                timestamp=d.timestamp,
                answers=answers,
                share=seen.budget / seen.requests,
                wrong=tuple(p.chance for p in here if p.score is not None and p.score < RIGHT),
                labels=sum(p.score is not None for p in here),
                picks=len(here),
            )
        )
    return found


def _retrains(session: Session) -> list[Retrain]:
    """The last retrains whose candidate was tested, with the trigger's estimate of what was missing."""
    tested = session.store.decisions.read("testing", newest=RETRAINS)
    names = [d.key.removeprefix("testing/") for d in tested]
    labels, said = (
        session.store.labels.by_partition(names),
        [_said(session, d.timestamp) for d in tested],
    )
    took = [session.store.decisions.get(f"training/{name}") for name in names]
    return [
        Retrain(
            timestamp=d.timestamp,
            labels=labels.get(name, 0),
            gain=_gain(session, d.read(TestEvidence).metrics),
            shortfall=asked.read(TriggerEvidence).shortfall if asked else None,
            seconds=learnt.read(TrainingEvidence).seconds if learnt else None,
        )
        for d, name, asked, learnt in zip(tested, names, said, took, strict=True)
    ]


def _gain(session: Session, metrics: Mapping[str, float | None]) -> float | None:
    """Accuracy won on the audit set, where that has the rows to say so."""
    enough = (metrics.get("audit_rows") or 0) >= session.strategy.testing.min_rows
    return metrics.get("audit_difference") if enough else None


def _days_with_requests(session: Session, since: datetime, now: datetime) -> float:
    """Days of [since, now) that the workspace was there for, at least a part of one."""
    first = session.store.decisions.get(FIRST)
    began = max([since, first.timestamp] if first else [since])
    return max((now - began) / timedelta(days=1), 1 / 24)
