"""The loop as plain functions of a workspace and a time; `flows/deployed.py` makes flows of them.

    monitor -> curate -> (labels come in) -> decide -> retrain -> roll_out -> monitor ...

Every function may be killed anywhere and called again with the same `now`: it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from core.errors import RolloutError
from core.evidence import AnyEvidence, RolloutEvidence
from core.records.decisions import Decision
from core.records.labels import Annotation, AnnotationTask
from core.records.rollouts import Rollout
from core.state import Retrains
from core.stored import plain
from flows import undo
from flows.contradictions import notice
from flows.curate import curate
from flows.evaluation import too_little
from flows.guard import nothing_new, occupied
from flows.labels import release, verify
from flows.monitor import monitor
from flows.retrain import retrain
from flows.session import Session
from flows.situation import situation
from flows.state import set_champion, waiting
from flows.undo import Requester
from pipelines.rollout import promote, roll_back
from pipelines.rollout.promotion import advanced
from pipelines.rollout.promotion import decision as said
from pipelines.triggers.trigger import decided

__all__ = [
    "curate",
    "decide",
    "loop",
    "monitor",
    "promote_now",
    "retire",
    "retrain",
    "roll_back_now",
    "roll_out",
    "set_champion",
]

MOVED = "the registry's alias was moved to it"
Answer = Callable[[list[AnnotationTask], datetime], list[Annotation]]


def loop(session: Session, now: datetime, answer: Answer | None = None) -> None:
    """One turn: look, pick, take what labels there are, and retrain if it is time.

    `answer` labels open tasks at once, as a replay's oracle does; without it people do, in their time.
    What it says is the truth of the stream: a name that nobody has used is a new class there, no slip.
    Each step is done once for each `now`: what it saw the first time is what it decided on.
    """
    undo.finish(session)
    session.store.at(now).labels.rescore()  # the label set may have been changed
    done = session.store.state.once
    done(f"monitoring/{now.isoformat()}", lambda: {"signals": len(monitor(session, now))})
    curate(session, now)
    verify(session, now)
    release(session, now)  # names may be known by now
    needed = session.strategy.labeling.annotators
    session.store.at(now).queue.settle(needed)  # fewer votes may be needed by now
    if answer:
        with session.timed("labeling"):
            session.store.at(now).labels.annotate(answer(session.store.queue.open(), now))
    done(f"contradictions/{now.isoformat()}", lambda: {"changes": len(notice(session, now))})
    decision = done(f"triggers/{now.isoformat()}", lambda: plain(decide(session, now)))
    if decision["verdict"] == "retrain":
        done(f"retrain/{now.isoformat()}", lambda: retrain(session, now, decision["reason"]))
    retire(session, now)


def retire(session: Session, now: datetime) -> None:
    """Delete what was logged longer ago than `logging.retention_days`."""
    days = session.strategy.logging.retention_days
    if days is None:
        return

    def clear() -> dict[str, Any]:
        deleted = session.store.erasure.retire(now - timedelta(days=days), now.isoformat())
        if deleted:
            reason = f"{deleted} predictions are older than {days} days"
            evidence = AnyEvidence({"deleted": deleted, "days": days})
            key = f"retention/{now.isoformat()}"
            session.record(Decision(key, "logging", now, f"{deleted} deleted", reason, evidence))
        return {"deleted": deleted}

    with session.timed("retention"):
        session.store.state.once(f"retention/{now.isoformat()}", clear)


def decide(session: Session, now: datetime) -> Decision:
    """Is it time to retrain? Stored whatever the answer."""
    with session.timed("triggers"):
        unfinished = session.store.state.read(Retrains).plan
        if unfinished and not undo.pinned(session):
            decision = waiting(now, "retrain", f"finishing what was started: {unfinished.reason}")
        elif busy := occupied(session):
            decision = waiting(now, "wait", busy)
        else:
            known = situation(session, now)
            decision = decided(session.strategy.triggers, known)
            if decision.verdict != "wait" and (why := nothing_new(session, now)):
                decision = waiting(now, "wait", f"{why} ({decision.reason})")
            elif decision.verdict != "wait" and (why := too_little(session, now, known.new_labels)):
                decision = waiting(now, "wait", f"cannot judge a candidate: {why} ({decision.reason})")
        session.record(decision)
    return decision


def roll_out(session: Session, now: datetime) -> str:
    """Take the rollout under way one step further, if it has seen enough; returns the verdict."""
    undo.finish(session)
    undo.end_barred(session, now)
    rollout = session.store.decisions.live_rollout()
    if rollout is None or rollout.stage_started >= now:
        return "no rollout to step"

    def step() -> dict[str, Any]:
        moved, decision = _stepped(session, rollout, now)
        if moved.stage == "promoted" and session.store.state.champion() != moved.candidate:
            set_champion(session, moved.candidate)
        session.record(decision, rollout=moved)
        return {"verdict": decision.verdict}

    with session.timed("rollout"):
        key = f"rollout/{rollout.rollout_id}/{now.isoformat()}"
        return str(session.store.state.once(key, step)["verdict"])


def _stepped(session: Session, rollout: Rollout, now: datetime) -> tuple[Rollout, Decision]:
    if session.store.state.champion() == rollout.candidate:
        return promote(rollout, now, MOVED)
    if held := undo.pinned(session):
        return rollout, said(rollout, "wait", held, now)
    answers = session.store.at(now).answers.side_by_side(rollout.stage_started, now)
    return advanced(session.strategy.rollout, rollout, answers, now)


def promote_now(session: Session, now: datetime, asked: Requester) -> Decision:
    """Promote the rollout under way by hand. Raises RolloutError when there is none."""
    rollout = session.store.decisions.live_rollout()
    if rollout is None:
        raise RolloutError("no rollout is under way", do="everloop rollout status")
    undo.check_unpinned(session, "nothing is promoted")
    moved, decision = promote(rollout, now, str(asked))
    set_champion(session, moved.candidate)
    session.record(_by(decision, asked), rollout=moved)
    return decision


def roll_back_now(session: Session, now: datetime, asked: Requester, to: str | None = None) -> Decision:
    """End the rollout under way for the champion; without one, undo the last promotion. With `to` that
    version serves in any case. Raises RolloutError or ModelError when nothing can be rolled back."""
    live = session.store.decisions.live_rollout()
    if live and session.store.state.champion() == live.candidate:
        moved, decision = promote(live, now, MOVED)
        session.record(decision, rollout=moved)
        live = None
    elsewhere = to not in (None, session.store.state.champion())
    if live is None:
        return undo.undo(session, now, asked, to)
    if to is not None and elsewhere:
        undo.check(session, to)
    moved, decision = roll_back(live, now, str(asked))
    session.record(_by(decision, asked), rollout=moved)
    return undo.undo(session, now, asked, to) if elsewhere else decision


def _by(decision: Decision, asked: Requester) -> Decision:
    return replace(decision, evidence=replace(decision.read(RolloutEvidence), **asdict(asked)))
