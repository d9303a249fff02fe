"""The loop as plain functions of a workspace and a time; `flows/deployed.py` makes flows of them.

    monitor -> curate -> (labels come in) -> decide -> retrain -> roll_out -> monitor ...

Every function may be killed anywhere and called again with the same `now`: it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

from core.errors import RolloutError
from core.records import Annotation, AnnotationTask, Decision, to_json
from flows.curate import curate
from flows.home import Home
from flows.labels import verify
from flows.monitor import monitor
from flows.retrain import retrain
from flows.situation import situation
from flows.state import crown, progress_of
from pipelines.rollout import promote, roll_back

__all__ = [
    "crown",
    "curate",
    "decide",
    "end_rollout",
    "loop",
    "monitor",
    "retire",
    "retrain",
    "roll_out",
]

Answer = Callable[[list[AnnotationTask], datetime], list[Annotation]]


def loop(home: Home, now: datetime, answer: Answer | None = None) -> None:
    """One turn: look, pick, take what labels there are, and retrain if it is time.

    `answer` labels open tasks at once, as a replay's oracle does; without it people do, in their time.
    Each step is done once for each `now`: what it saw the first time is what it decided on.
    """
    done = home.store.once
    done(f"monitoring/{now.isoformat()}", lambda: {"signals": len(monitor(home, now))})
    curate(home, now)
    verify(home, now)
    home.store.at(now).settle(home.strategy.labeling.annotators)  # fewer votes may be needed by now
    if answer:
        with home.timed("labeling"):
            home.store.at(now).annotate(answer(home.store.open_tasks(), now))
    decision = done(f"triggers/{now.isoformat()}", lambda: to_json(decide(home, now)))
    if decision["verdict"] == "retrain":
        done(f"retrain/{now.isoformat()}", lambda: retrain(home, now, decision["reason"]))
    retire(home, now)


def retire(home: Home, now: datetime) -> None:
    """Delete what was logged longer ago than `logging.retention_days`."""
    days = home.strategy.logging.retention_days
    if days is None:
        return

    def clear() -> dict[str, Any]:
        deleted = home.store.retire(now - timedelta(days=days), now.isoformat())
        if deleted:
            reason = f"{deleted} predictions are older than {days} days"
            evidence = {"deleted": deleted, "days": days}
            key = f"retention/{now.isoformat()}"
            home.record(Decision(key, "logging", now, f"{deleted} deleted", reason, evidence))
        return {"deleted": deleted}

    with home.timed("retention"):
        home.store.once(f"retention/{now.isoformat()}", clear)


def decide(home: Home, now: datetime) -> Decision:
    """Is it time to retrain? Stored whatever the answer."""
    with home.timed("triggers"):
        unfinished = progress_of(home)["plan"]
        if unfinished:
            decision = _wait(now, "retrain", f"finishing what was started: {unfinished['reason']}")
        elif home.store.live_rollout():
            decision = _wait(now, "wait", "a rollout is under way")
        else:
            known = situation(home, now)
            decision = home.strategy.triggers.decide(known)
            if decision.verdict != "wait" and not known.new_labels:
                decision = _wait(now, "wait", f"no new label to learn from ({decision.reason})")
        home.record(decision)
    return decision


def roll_out(home: Home, now: datetime) -> str:
    """Take the rollout under way one step further, if it has seen enough; returns the verdict."""
    rollout = home.store.live_rollout()
    if rollout is None or rollout.stage_started >= now:
        return "no rollout to step"

    def step() -> dict[str, Any]:
        answers = home.store.at(now).answers(rollout.stage_started, now)
        moved, decision = home.strategy.rollout.advance(rollout, answers, now)
        if moved.stage == "promoted":
            crown(home, moved.candidate)
        elif home.store.champion() == rollout.candidate:
            moved, decision = promote(rollout, now, "the registry's alias was moved to it")
        home.record(decision)
        home.store.put_rollout(moved)
        return {"verdict": decision.verdict}

    with home.timed("rollout"):
        key = f"rollout/{rollout.rollout_id}/{now.isoformat()}"
        return str(home.store.once(key, step)["verdict"])


def end_rollout(
    home: Home, now: datetime, stage: Literal["promoted", "rolled_back"], reason: str
) -> Decision:
    """Promote or roll back the rollout under way by hand. Raises RolloutError when there is none."""
    rollout = home.store.live_rollout()
    if rollout is None:
        raise RolloutError("no rollout is under way", do="everloop rollout status")
    end = promote if stage == "promoted" else roll_back
    moved, decision = end(rollout, now, reason)
    if stage == "promoted":
        crown(home, moved.candidate)
    home.store.put_rollout(moved)
    home.record(decision)
    return decision


def _wait(now: datetime, verdict: str, reason: str) -> Decision:
    return Decision(f"trigger/{now.isoformat()}", "triggers", now, verdict, reason)
