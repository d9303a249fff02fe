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
from core.records.decisions import Decision
from core.records.versions import Candidate, DatasetVersion
from core.state import Forgetting, RetrainPlan, RetrainResult, Retrains
from core.texts import counted
from flows import undo
from flows.forget import finish
from flows.guard import held
from flows.label_set import declared
from flows.labels import claimed
from flows.model_stages import test_candidate, train_candidate
from flows.opinions import opinions
from flows.regression import regression_rows, with_collections
from flows.session import Session
from flows.state import waiting
from pipelines.datasets.versions import Plan, make_version
from pipelines.rollout import roll_back
from pipelines.rollout.promotion import started


def retrain(session: Session, now: datetime, reason: str) -> dict[str, Any]:
    """Dataset version -> candidate -> test report -> rollout, under the plan that is stored first.

    One retrain for each `now`; a plan that was left unfinished is finished before another is made.
    Where none may begin (`flows.guard`), the reason is stored and returned under "waits".
    """
    undo.finish(session)
    state = session.store.state
    made = state.read(Retrains)
    if made.last == now and not made.plan:
        return asdict(made.result)
    session.check()
    if not made.plan and state.read(Forgetting):
        finish(session, now)
        made = state.read(Retrains)
    champion = state.champion()
    if waits := undo.pinned(session) if made.plan else held(session, now):
        session.record(waiting(now, "wait", waits))
        return {"waits": waits}
    plan = made.plan or RetrainPlan(f"v{made.done + 1:04d}", now, reason, champion)
    state.write(replace(made, plan=plan))
    version = _dataset(session, plan)
    candidate = _train(session, version, plan)
    passed = _test(session, version, candidate, plan)
    if passed and (waits := undo.pinned(session)):  # the plan stays, its rollout begins once unpinned
        return {"waits": waits}
    if passed:
        _start_rollout(session, candidate, plan)
    result = RetrainResult(version.id, candidate.version, passed)
    state.write(Retrains(made.done + 1, plan.as_of, None, result))
    return asdict(result)


def _dataset(session: Session, plan: RetrainPlan) -> DatasetVersion:
    as_of, number = plan.as_of, int(plan.id[1:])

    def make() -> DatasetVersion:
        parent = f"v{number - 1:04d}"
        named = regression_rows(session, parent, as_of)
        rows = with_collections(claimed(session, plan.id, as_of), named)
        labels, fault = declared(session, as_of), session.task.fault
        asked = Plan(plan.id, as_of, number, parent, plan.reason, labels, fault)
        champion = session.registry.path(plan.champion)
        said = opinions(session, plan.id, as_of, rows)
        policy = session.strategy.datasets
        return make_version(session.workspace, rows, asked, policy, champion, said=said)

    with session.timed("datasets"):
        return session.store.state.made(DatasetVersion, f"datasets/{plan.id}", make)


def _train(session: Session, version: DatasetVersion, plan: RetrainPlan) -> Candidate:
    def make() -> Candidate:
        began = time.perf_counter()
        trained = train_candidate(session)
        seconds = round(time.perf_counter() - began, 3)  # no metric: it is another on every run
        candidate = session.registry.log_candidate(
            session.workspace.candidate,
            key=f"{version.id}/{version.revision}",
            recipe=session.strategy.training.policy,
            params={"reason": plan.reason, "champion": plan.champion, **_flat(session)},
            metrics=trained.metrics,
            dataset=version,
        )
        session.registry.attach_curves(candidate.run_id, trained.curves, plan.as_of)
        notes = f"; {'; '.join(trained.notes)}" if trained.notes else ""
        session.record(
            Decision(
                key=f"training/{version.id}",
                stage="training",
                timestamp=plan.as_of,
                verdict=f"candidate {candidate.version}",
                reason=f"{candidate.recipe} on {version.id}: {version.trains()}"
                f"{labels_in(session, version)}{notes}{refused(session, version)}",
                evidence=TrainingEvidence(candidate.run_id, seconds, trained.metrics),
            )
        )
        return candidate

    with session.timed("training"):
        return session.store.state.made(Candidate, f"training/{version.id}", make)


def labels_in(session: Session, version: DatasetVersion) -> str:
    """How many labels a version knows; nothing where answers are no labels."""
    return f", {version.labels} labels" if session.task.labelled else ""


def refused(session: Session, version: DatasetVersion) -> str:
    """New rows that failed an expectation of the dataset are in no version; where they are named."""
    page = session.workspace.quarantine / f"dataset-{version.id}.csv"
    if not page.is_file():
        return ""
    rows = len(pd.read_csv(page))
    named = page.relative_to(session.workspace.root)
    return f"; {counted(rows, 'new row')} refused, the reasons are in {named}"


def _test(session: Session, version: DatasetVersion, candidate: Candidate, plan: RetrainPlan) -> bool:
    def make() -> dict[str, Any]:
        names = (candidate.version, plan.champion)
        page = session.workspace.reports / f"testing-{version.id}.html"
        report = test_candidate(session, names, page)
        session.registry.attach(candidate.run_id, [page], report.metrics)
        session.registry.point("challenger", candidate.version)
        session.record(
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

    with session.timed("testing"):
        return bool(session.store.state.once(f"testing/{version.id}", make)["passed"])


def _start_rollout(session: Session, candidate: Candidate, plan: RetrainPlan) -> None:
    def start() -> dict[str, Any]:
        now = plan.as_of
        rollout = started(session.strategy.rollout, (candidate.version, plan.champion), now, plan.id)
        begun = [r.rollout_id for r in session.store.decisions.rollouts(candidate.version)]
        if rollout.rollout_id in begun:  # killed after it began; it may have ended since
            return {"rollout": rollout.rollout_id}
        if why := undo.barred(session, candidate.version):
            session.record(Decision(f"rollout/{plan.id}", "rollout", now, "none", why))
            return {"rollout": None}
        under_way = session.store.decisions.live_rollout()
        if under_way:
            ended, decision = roll_back(under_way, now, f"candidate {candidate.version} is newer")
            session.record(decision, rollout=ended)
        session.store.decisions.put_rollout(rollout)
        return {"rollout": rollout.rollout_id}

    with session.timed("rollout"):
        session.store.state.once(f"rollout/{plan.id}", start)


def _flat(session: Session) -> dict[str, str]:
    """The strategy as MLflow parameters: training.policy -> head."""
    dumped = session.strategy.model_dump(
        include={"model", "curation", "datasets", "training", "triggers"}
    )
    return {
        f"{stage}.{key}": json.dumps(value) if isinstance(value, list | dict) else str(value)
        for stage, section in dumped.items()
        for key, value in section.items()
    }
