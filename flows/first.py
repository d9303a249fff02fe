"""The first model of a workspace: everything later has a champion to start from and to beat."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import pandas as pd

from core.evidence import TrainingEvidence
from core.records.decisions import Decision
from core.records.versions import Candidate, DatasetVersion
from core.state import BaseEncoder, Champion, RetrainResult, Retrains
from core.texts import first_few
from flows.encoders import choose_encoder
from flows.label_set import declared
from flows.model_stages import train_candidate
from flows.regression import regression_rows, with_collections
from flows.retrain import labels_in, refused
from flows.runtimes import check_runtime
from flows.session import Session
from flows.state import set_champion
from pipelines.datasets.contents import EVALUATION, TRAIN, rows_here
from pipelines.datasets.reservoir import first_rows
from pipelines.datasets.versions import Plan, make_version
from pipelines.training.baseline import beside, cut


def first_model(session: Session, train: pd.DataFrame, evaluation: pd.DataFrame, now: datetime) -> str:
    """Train and crown version v0001 from labelled rows (text, label, segments); returns its version."""
    with session.timed("first model"):
        if session.store.state.read(Champion).version is None:
            session.check()
        choose_encoder(session, train)
        made = session.store.state.made
        version = made(
            DatasetVersion, "datasets/v0001", lambda: _dataset(session, train, evaluation, now)
        )
        candidate = made(Candidate, "training/v0001", lambda: _train(session, version))
        if session.store.state.read(Champion).version is None:
            session.record(
                Decision(
                    key="training/v0001",
                    stage="training",
                    timestamp=version.as_of,
                    verdict=f"first model {candidate.version}",
                    reason=f"{candidate.recipe} on v0001: {version.trains()}"
                    f"{labels_in(session, version)}, "
                    f"evaluation accuracy {candidate.metrics['evaluation_accuracy']:.3f}"
                    f"{refused(session, version)}{_little(session, version)}"
                    f"{_read(session, candidate)}",
                    evidence=TrainingEvidence(metrics=dict(candidate.metrics)),
                )
            )
            result = RetrainResult(version.id, candidate.version, passed=True)
            session.store.state.write(Retrains(1, version.as_of, None, result))
            set_champion(session, candidate.version)
    return candidate.version


def _read(session: Session, candidate: Candidate) -> str:
    """How its texts are read, where that is to be said."""
    words = (
        session.store.state.read(BaseEncoder).why,
        cut(candidate.metrics),
        beside(candidate.metrics),
    )
    return "".join(f"; {said}" for said in words if said)


def _little(session: Session, version: DatasetVersion) -> str:
    """What there is too little of: rows of a label, and rows to judge the next model by."""
    least, needed = session.strategy.training.min_label_rows, session.strategy.testing.min_rows
    few = []
    if session.task.labelled:
        labels = rows_here(session.workspace, TRAIN, ["target"])["target"].value_counts()
        few = [f"`{label}` ({n})" for label, n in sorted(labels.items()) if n < least]
    said = f"; a slip? fewer than {least} rows to train on: {first_few(few, 5)}" if few else ""
    rows = version.rows.get("eval", 0)
    if rows < needed:
        said += f"; {rows} evaluation rows judge no later model, {needed} needed (testing.min_rows)"
    return said


def _dataset(
    session: Session, train: pd.DataFrame, evaluation: pd.DataFrame, now: datetime
) -> DatasetVersion:
    base = session.base

    def rows(table: pd.DataFrame, kind: Literal["train", "eval"]) -> pd.DataFrame:
        read = session.store.embeddings.of(table["text"].tolist(), base.identity, base.embed, "initial")
        columns = table[["text", "label", "segments"]]
        return first_rows(columns, read, kind, base.identity, now, session.task.kind)

    first = pd.concat([rows(train, "train"), rows(evaluation, "eval")], ignore_index=True)
    plan = Plan(
        "v0001", now, seed=1, parent="", labels=declared(session, now), fault=session.task.fault
    )
    first = with_collections(first, regression_rows(session, "", now))
    return make_version(session.workspace, first, plan, session.strategy.datasets, None)


def _train(session: Session, version: DatasetVersion) -> Candidate:
    trained = train_candidate(session)
    check_runtime(session, trained.model, rows_here(session.workspace, EVALUATION))
    candidate = session.registry.log_candidate(
        session.workspace.candidate,
        key=f"{version.id}/{version.revision}",
        recipe=session.strategy.training.policy,
        params={"reason": "first model"},
        metrics=trained.metrics,
        dataset=version,
    )
    session.registry.attach_curves(candidate.run_id, trained.curves, version.as_of)
    return candidate
