"""The loop as plain functions of a workspace and a time; `flows/deployed.py` makes flows of them.

    monitor -> curate -> (labels come in) -> decide -> retrain -> roll_out -> monitor ...

Every function may be killed anywhere and called again with the same `now`: it goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

from core.errors import ModelError, RolloutError
from core.records import (
    Annotation,
    AnnotationTask,
    Array,
    Candidate,
    DatasetVersion,
    Decision,
    Signal,
    to_json,
)
from flows.home import Home
from flows.model_stages import test_candidate, train_candidate
from monitoring.alerts import alerts
from monitoring.monitor import observe
from pipelines.datasets.reservoir import from_claim
from pipelines.datasets.versions import Plan, make_version
from pipelines.rollout import promote, roll_back
from pipelines.triggers.policy import Situation

Answer = Callable[[list[AnnotationTask], datetime], list[Annotation]]


def loop(home: Home, now: datetime, answer: Answer | None = None) -> None:
    """One turn: look, pick, take what labels there are, and retrain if it is time.

    `answer` labels open tasks at once, as a replay's oracle does; without it people do, in their time.
    Each step is done once for each `now`: what it saw the first time is what it decided on.
    """
    done = home.store.once
    done(f"monitoring/{now.isoformat()}", lambda: {"signals": len(monitor(home, now))})
    curate(home, now)
    if answer:
        with home.timed("labeling"):
            home.store.annotate(answer(home.store.open_tasks(), now))
    decision = done(f"triggers/{now.isoformat()}", lambda: to_json(decide(home, now)))
    if decision["verdict"] == "retrain":
        done(f"retrain/{now.isoformat()}", lambda: retrain(home, now, decision["reason"]))


def monitor(home: Home, now: datetime, report: bool = False) -> list[Signal]:
    """Signals and alerts of the window that ends now; an Evidently page when asked or alarmed."""
    settings = home.strategy.monitoring
    start = now - timedelta(hours=settings.window_hours)
    with home.timed("monitoring"):
        window = home.store.window(start, now)
        reference = home.store.window(start - timedelta(days=settings.reference_days), start)
        champion = home.registry.load(_champion(home))
        head, encoder = champion.trained, champion.encoder.identity
        comparable = set(window.rows["encoder"]) | set(reference.rows["encoder"]) <= {encoder}
        rollout = home.store.live_rollout()
        candidate = home.registry.load(rollout.candidate).trained if rollout else head

        def classify(embeddings: Array) -> list[str]:
            return [head.labels[i] for i in head.probabilities(embeddings).argmax(axis=1)]

        signals = observe(
            window,
            reference,
            {*head.labels, *candidate.labels},
            settings,
            classify=classify if comparable else None,
        )
        home.store.put_signals(signals)
        raised = alerts(signals, settings, now)
        home.record(*raised)
        if report or raised:
            from monitoring.reports import window_report

            page = home.workspace.reports / f"window-{now:%Y-%m-%dT%H}.html"
            if not page.exists():
                window_report(window, reference, page)
    return signals


def curate(home: Home, now: datetime) -> None:
    """Pick this round's labels from the requests since the last round, within the daily budget."""
    policy = home.strategy.curation
    day = timedelta(days=1)

    def pick() -> dict[str, Any]:
        since = home.store.get("curated_until")
        start = max(datetime.fromisoformat(since), now - 7 * day) if since else now - day
        window = home.store.window(start, now)
        share = min(1.0, (now - start) / day)
        left = policy.labels_per_day - home.store.picked(now - day + timedelta(microseconds=1), now)
        budget = min(left, int(policy.labels_per_day * share + 0.5))
        tasks = policy.pick(window, budget, f"{now:%Y-%m-%dT%H:%M}", now)
        home.store.add_tasks(tasks)
        home.record(
            Decision(
                key=f"curation/{now.isoformat()}",
                stage="curation",
                timestamp=now,
                verdict=f"{len(tasks)} picked",
                reason=f"{policy.policy}: {len(tasks)} of {len(window)} requests, "
                f"{sum(t.audit for t in tasks)} of them for audit",
                evidence={"requests": len(window), "budget": budget, "picked": len(tasks)},
            )
        )
        return {"picked": len(tasks)}

    with home.timed("curation"):
        home.store.once(f"curation/{now.isoformat()}", pick)
        home.store.set("curated_until", now.isoformat())


def decide(home: Home, now: datetime) -> Decision:
    """Is it time to retrain? Stored whatever the answer."""
    with home.timed("triggers"):
        unfinished = _progress(home)["plan"]
        last = datetime.fromisoformat(_progress(home)["last"])
        if unfinished:
            decision = _wait(now, "retrain", f"finishing what was started: {unfinished['reason']}")
        elif home.store.live_rollout():
            decision = _wait(now, "wait", "a rollout is under way")
        else:
            fresh, _ = home.store.unclaimed()
            situation = Situation(
                now=now,
                last_retrain=last,
                new_labels=fresh,
                alerts=[
                    d
                    for d in home.store.decisions("monitoring", since=last)
                    if last < d.timestamp <= now
                ],
                signals=[s for s in home.store.signals(since=now) if s.window_end == now],
            )
            decision = home.strategy.triggers.decide(situation)
            if decision.verdict == "retrain" and not fresh:
                decision = _wait(now, "wait", f"no new label to learn from ({decision.reason})")
        home.record(decision)
    return decision


def retrain(home: Home, now: datetime, reason: str) -> dict[str, Any]:
    """Dataset version -> candidate -> test report -> rollout, under the plan that is stored first.

    One retrain for each `now`; a plan that was left unfinished is finished before another is made.
    """
    progress = _progress(home)
    if progress["last"] == now.isoformat() and not progress["plan"]:
        return dict(progress["result"])
    plan = progress["plan"] or {
        "id": f"v{progress['done'] + 1:04d}",
        "as_of": now.isoformat(),
        "reason": reason,
        "champion": _champion(home),
    }
    home.store.set("retrains", {**progress, "plan": plan})
    version = _dataset(home, plan)
    candidate = _train(home, version, plan)
    passed = _test(home, version, candidate, plan)
    if passed:
        _start_rollout(home, candidate, plan)
    result = {"dataset": version.id, "candidate": candidate.version, "passed": passed}
    done = progress["done"] + 1
    home.store.set("retrains", {"done": done, "last": plan["as_of"], "plan": None, "result": result})
    return result


def roll_out(home: Home, now: datetime) -> str:
    """Take the rollout under way one step further, if it has seen enough; returns the verdict."""
    rollout = home.store.live_rollout()
    if rollout is None or rollout.stage_started >= now:
        return "no rollout to step"

    def step() -> dict[str, Any]:
        answers = home.store.answers(rollout.stage_started, now)
        moved, decision = home.strategy.rollout.advance(rollout, answers, now)
        if moved.stage == "promoted":
            crown(home, moved.candidate)
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


def crown(home: Home, version: str) -> None:
    """Make a version the champion: for the registry first, then for whoever serves."""
    home.registry.point("champion", version)
    home.store.set("champion", version)


def _dataset(home: Home, plan: dict[str, Any]) -> DatasetVersion:
    as_of = datetime.fromisoformat(plan["as_of"])
    number = int(plan["id"][1:])

    def make() -> dict[str, Any]:
        rows = from_claim(home.store.claim(plan["id"], as_of))
        asked = Plan(plan["id"], as_of, seed=number, parent=f"v{number - 1:04d}")
        champion = home.registry.path(plan["champion"])
        return to_json(make_version(home.workspace, rows, asked, home.strategy.datasets, champion))

    with home.timed("datasets"):
        made = home.store.once(f"datasets/{plan['id']}", make)
    return DatasetVersion(**{**made, "as_of": datetime.fromisoformat(made["as_of"])})


def _train(home: Home, version: DatasetVersion, plan: dict[str, Any]) -> Candidate:
    def make() -> dict[str, Any]:
        trained = train_candidate(home)
        candidate = home.registry.log_candidate(
            home.workspace.candidate,
            key=f"{version.id}/{version.revision}",
            recipe=home.strategy.training.policy,
            params={"reason": plan["reason"], "champion": plan["champion"], **_flat(home)},
            metrics=trained.metrics,
            dataset=version,
        )
        notes = f"; {'; '.join(trained.notes)}" if trained.notes else ""
        home.record(
            Decision(
                key=f"training/{version.id}",
                stage="training",
                timestamp=datetime.fromisoformat(plan["as_of"]),
                verdict=f"candidate {candidate.version}",
                reason=f"{candidate.recipe} on {version.id}: {version.rows.get('train', 0)} rows, "
                f"{version.labels} labels{notes}",
                evidence={"run_id": candidate.run_id, **trained.metrics},
            )
        )
        return asdict(candidate)

    with home.timed("training"):
        return Candidate(**home.store.once(f"training/{version.id}", make))


def _test(home: Home, version: DatasetVersion, candidate: Candidate, plan: dict[str, Any]) -> bool:
    def make() -> dict[str, Any]:
        names = (candidate.version, plan["champion"])
        page = home.workspace.reports / f"testing-{version.id}.html"
        report = test_candidate(home, names, page)
        home.registry.attach(candidate.run_id, [page], report.metrics)
        home.registry.point("challenger", candidate.version)
        home.record(
            Decision(
                key=f"testing/{version.id}",
                stage="testing",
                timestamp=datetime.fromisoformat(plan["as_of"]),
                verdict="pass" if report.passed else "fail",
                reason="; ".join(report.reasons),
                evidence={"candidate": candidate.version, "report": page.name, **report.metrics},
                severity="info" if report.passed else "warning",
            )
        )
        return {"passed": report.passed}

    with home.timed("testing"):
        return bool(home.store.once(f"testing/{version.id}", make)["passed"])


def _start_rollout(home: Home, candidate: Candidate, plan: dict[str, Any]) -> None:
    def start() -> dict[str, Any]:
        rollout = home.strategy.rollout.start(
            candidate.version, plan["champion"], datetime.fromisoformat(plan["as_of"]), plan["id"]
        )
        home.store.put_rollout(rollout)
        return {"rollout": rollout.rollout_id}

    with home.timed("rollout"):
        home.store.once(f"rollout/{plan['id']}", start)


def _champion(home: Home) -> str:
    version = home.store.get("champion")
    if version is None:
        raise ModelError(
            "this workspace has no model yet",
            where=str(home.workspace.root),
            do="everloop train TRAIN.csv --eval EVAL.csv",
        )
    return str(version)


def _progress(home: Home) -> dict[str, Any]:
    """How many dataset versions are done, when the last was asked for, and the plan under way."""
    return dict(home.store.get("retrains") or {"done": 0, "last": None, "plan": None, "result": {}})


def _wait(now: datetime, verdict: str, reason: str) -> Decision:
    return Decision(f"trigger/{now.isoformat()}", "triggers", now, verdict, reason)


def _flat(home: Home) -> dict[str, str]:
    """The strategy as MLflow parameters: training.policy -> head."""
    dumped = home.strategy.model_dump(include={"model", "curation", "datasets", "training", "triggers"})
    return {
        f"{stage}.{key}": json.dumps(value) if isinstance(value, list | dict) else str(value)
        for stage, section in dumped.items()
        for key, value in section.items()
    }
