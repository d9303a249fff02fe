"""A retrain: dataset version -> candidate -> test report -> rollout, each step done once.

Killed anywhere and called again, it goes on under the plan it stored first.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import pandas as pd

from core.evidence import TestEvidence, TrainingEvidence
from core.records import Candidate, DatasetVersion, Decision, to_json
from core.state import Forgetting, RetrainPlan, RetrainResult, Retrains
from core.stored import record
from flows import undo
from flows.forget import finish
from flows.guard import held
from flows.home import Home
from flows.label_set import declared
from flows.labels import claimed
from flows.model_stages import test_candidate, train_candidate
from flows.regression import regression_rows, with_collections
from flows.state import waiting
from pipelines.datasets.versions import Plan, make_version
from pipelines.rollout import roll_back


def retrain(home: Home, now: datetime, reason: str) -> dict[str, Any]:
    """Dataset version -> candidate -> test report -> rollout, under the plan that is stored first.

    One retrain for each `now`; a plan that was left unfinished is finished before another is made.
    Where none may begin (`flows.guard`), the reason is stored and returned under "waits".
    """
    undo.finish(home)
    state = home.store.state
    made = state.read(Retrains)
    if made.last == now and not made.plan:
        return asdict(made.result)
    home.check()
    if not made.plan and state.read(Forgetting):
        finish(home, now)
        made = state.read(Retrains)
    champion = state.champion()
    if waits := undo.pinned(home) if made.plan else held(home, now):
        home.record(waiting(now, "wait", waits))
        return {"waits": waits}
    plan = made.plan or RetrainPlan(f"v{made.done + 1:04d}", now, reason, champion)
    state.write(replace(made, plan=plan))
    version = _dataset(home, plan)
    candidate = _train(home, version, plan)
    passed = _test(home, version, candidate, plan)
    if passed and (waits := undo.pinned(home)):  # the plan stays, its rollout begins once unpinned
        return {"waits": waits}
    if passed:
        _start_rollout(home, candidate, plan)
    result = RetrainResult(version.id, candidate.version, passed)
    state.write(Retrains(made.done + 1, plan.as_of, None, result))
    return asdict(result)


def _dataset(home: Home, plan: RetrainPlan) -> DatasetVersion:
    as_of, number = plan.as_of, int(plan.id[1:])

    def make() -> dict[str, Any]:
        parent = f"v{number - 1:04d}"
        named = regression_rows(home, parent, as_of)
        rows = with_collections(claimed(home, plan.id, as_of), named)
        asked = Plan(plan.id, as_of, number, parent, plan.reason, declared(home, as_of))
        champion = home.registry.path(plan.champion)
        return to_json(make_version(home.workspace, rows, asked, home.strategy.datasets, champion))

    with home.timed("datasets"):
        made = home.store.state.once(f"datasets/{plan.id}", make)
    return record(DatasetVersion, made)


def _train(home: Home, version: DatasetVersion, plan: RetrainPlan) -> Candidate:
    def make() -> dict[str, Any]:
        began = time.perf_counter()
        trained = train_candidate(home)
        seconds = round(time.perf_counter() - began, 3)  # no metric: it is another on every run
        candidate = home.registry.log_candidate(
            home.workspace.candidate,
            key=f"{version.id}/{version.revision}",
            recipe=home.strategy.training.policy,
            params={"reason": plan.reason, "champion": plan.champion, **_flat(home)},
            metrics=trained.metrics,
            dataset=version,
        )
        notes = f"; {'; '.join(trained.notes)}" if trained.notes else ""
        home.record(
            Decision(
                key=f"training/{version.id}",
                stage="training",
                timestamp=plan.as_of,
                verdict=f"candidate {candidate.version}",
                reason=f"{candidate.recipe} on {version.id}: {version.trains()}, "
                f"{version.labels} labels{notes}{refused(home, version)}",
                evidence=TrainingEvidence(candidate.run_id, seconds, trained.metrics),
            )
        )
        return asdict(candidate)

    with home.timed("training"):
        return record(Candidate, home.store.state.once(f"training/{version.id}", make))


def refused(home: Home, version: DatasetVersion) -> str:
    """New rows that failed an expectation of the dataset are in no version; where they are named."""
    page = home.workspace.quarantine / f"dataset-{version.id}.csv"
    if not page.is_file():
        return ""
    rows = len(pd.read_csv(page))
    named = page.relative_to(home.workspace.root)
    return f"; {rows} new row{'' if rows == 1 else 's'} refused, the reasons are in {named}"


def _test(home: Home, version: DatasetVersion, candidate: Candidate, plan: RetrainPlan) -> bool:
    def make() -> dict[str, Any]:
        names = (candidate.version, plan.champion)
        page = home.workspace.reports / f"testing-{version.id}.html"
        report = test_candidate(home, names, page)
        home.registry.attach(candidate.run_id, [page], report.metrics)
        home.registry.point("challenger", candidate.version)
        home.record(
            Decision(
                key=f"testing/{version.id}",
                stage="testing",
                timestamp=plan.as_of,
                verdict=report.verdict,
                reason="; ".join(report.reasons),
                evidence=TestEvidence(candidate.version, page.name, report.metrics),
                severity="info" if report.passed else "warning",
            )
        )
        return {"passed": report.passed}

    with home.timed("testing"):
        return bool(home.store.state.once(f"testing/{version.id}", make)["passed"])


def _start_rollout(home: Home, candidate: Candidate, plan: RetrainPlan) -> None:
    def start() -> dict[str, Any]:
        now = plan.as_of
        rollout = home.strategy.rollout.start(candidate.version, plan.champion, now, plan.id)
        begun = [r.rollout_id for r in home.store.decisions.rollouts(candidate.version)]
        if rollout.rollout_id in begun:  # killed after it began; it may have ended since
            return {"rollout": rollout.rollout_id}
        if why := undo.barred(home, candidate.version):
            home.record(Decision(f"rollout/{plan.id}", "rollout", now, "none", why))
            return {"rollout": None}
        under_way = home.store.decisions.live_rollout()
        if under_way:
            ended, decision = roll_back(under_way, now, f"candidate {candidate.version} is newer")
            home.record(decision, rollout=ended)
        home.store.decisions.put_rollout(rollout)
        return {"rollout": rollout.rollout_id}

    with home.timed("rollout"):
        home.store.state.once(f"rollout/{plan.id}", start)


def _flat(home: Home) -> dict[str, str]:
    """The strategy as MLflow parameters: training.policy -> head."""
    dumped = home.strategy.model_dump(include={"model", "curation", "datasets", "training", "triggers"})
    return {
        f"{stage}.{key}": json.dumps(value) if isinstance(value, list | dict) else str(value)
        for stage, section in dumped.items()
        for key, value in section.items()
    }
