"""The stages of dvc.yaml that make and judge a model: the loop and `dvc repro` both run these.

They read data/champion and the rows of data/reservoir that the manifest in data/dataset names, write
data/candidate, metrics/*.json and a report, and depend on nothing else, so a tagged dataset version
always gives the same numbers.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.arrays import Array, stacked
from core.files import write_whole
from core.models import families
from core.models.base import Classifier, Model
from core.records.versions import TestReport
from flows.runtimes import torch_agreement
from flows.session import Session
from pipelines.datasets.contents import EVALUATION, TESTED, TRAIN, rows_here
from pipelines.datasets.inputs import label_set, read_inputs
from pipelines.testing import Contender, run_tests
from pipelines.testing.labels import Scarce, scarce
from pipelines.testing.memorization import memorizes
from pipelines.testing.report import write_report
from pipelines.testing.runtime import same_labels

if TYPE_CHECKING:
    from core.label_set import LabelSet
    from pipelines.testing.expectations import Expectation
    from pipelines.training import Trained


def train_candidate(session: Session) -> Trained:
    """Stage `training`: data/dataset, data/champion in; data/candidate, metrics/training.json out."""
    from pipelines.training import TrainingData, learnable
    from pipelines.training.data import trained

    place = session.workspace
    start = _start(session)
    rows, evaluation = rows_here(place, TRAIN), rows_here(place, EVALUATION)
    needed, known = session.strategy.training.min_label_rows, _known(session)
    train = rows if known is None else rows[learnable(list(rows["target"]), known, needed)]
    data = TrainingData(
        session.texts(train),
        train["target"].tolist(),
        embeddings(session, start, train),
        session.texts(evaluation),
        evaluation["target"].tolist(),
        embeddings(session, start, evaluation),
    )
    result = trained(session.strategy.training, data, start)
    if held := len(rows) - len(train):
        note = f"held back, as new labels with fewer than {needed} rows: {held}"
        metrics = {**result.metrics, "held_back_rows": float(held)}
        result = replace(result, metrics=metrics, notes=[*result.notes, note])
    shutil.rmtree(place.candidate, ignore_errors=True)  # what an earlier recipe left is not ours
    result.model.save(place.candidate)
    _write(place.metrics / "training.json", result.metrics)
    return result


def _start(session: Session) -> Model:
    """What the next model starts from: the champion, and before there is one the base model."""
    before = champion(session) or session.base
    return before.start(_labels(session), session.strategy.model.runtime)


def _labels(session: Session) -> LabelSet:
    """The label set at the time of the dataset."""
    return label_set(session.workspace, read_inputs(session.workspace))


def test_candidate(session: Session, names: tuple[str, str], page: Path) -> TestReport:
    """Stage `testing`: data/dataset, data/candidate and data/champion in; metrics/testing.json out.

    `names` are the versions of candidate and champion; `page` is where the HTML report goes.
    """
    place = session.workspace
    settings = session.strategy.testing
    candidate, before = families.load(place.candidate), champion(session)
    train, evaluation = rows_here(place, TRAIN), rows_here(place, TESTED)
    learnt = memorizes(embeddings(session, candidate, train), train["target"].tolist())
    report = run_tests(
        _contender(session, names[0], candidate, evaluation),
        _contender(session, names[1], before, evaluation) if before else None,
        evaluation,
        settings,
        [learnt, *_same_labels(session, candidate, evaluation)],
        _scarce(session, candidate, train, evaluation),
    )
    write_report(report, page)
    _write(place.metrics / "testing.json", report.metrics)
    return report


def _scarce(
    session: Session, candidate: Model, train: pd.DataFrame, evaluation: pd.DataFrame
) -> Scarce:
    """Labels of which there is little. To the first model all are new: nothing is held back from it."""
    known = _known(session)
    if known is None:
        return Scarce()
    needed = session.strategy.training.min_label_rows
    return scarce(list(train["target"]), list(evaluation["target"]), candidate.labels, known, needed)


def _known(session: Session) -> list[str] | None:
    """The labels that the champion answers, under their names of the dataset; None without one."""
    before = champion(session)
    return None if before is None else before.under(_labels(session)).labels


def _same_labels(session: Session, model: Model, rows: pd.DataFrame) -> list[Expectation]:
    """What is asked of a model whose runtime is not torch."""
    told = torch_agreement(session, model, rows)
    return [same_labels(told)] if told else []


def champion(session: Session) -> Model | None:
    """The champion of the dataset version; None before there is one."""
    folder = session.workspace.champion
    return families.load(folder) if any(folder.iterdir()) else None


def embeddings(session: Session, model: Model, rows: pd.DataFrame) -> Array:
    """Embeddings (n, dim) float32 of reservoir rows under a model's encoder.

    Rows that travelled with an embedding of this encoder reuse it; after a fine-tuned encoder the
    others are read again, once.
    """
    if not len(rows):
        return model.embed([]).astype(np.float32)
    if (rows["encoder"] == model.identity).all():
        return stacked(rows["embedding"])
    return session.store.embeddings.of(session.texts(rows), model.identity, model.embed, "reread")


def _contender(session: Session, version: str, model: Model, rows: pd.DataFrame) -> Contender:
    asked = model.under(
        _labels(session)
    )  # a champion may be older than a merge, or than the normal form
    if not isinstance(asked, Classifier):
        raise AssertionError("only a classifier is tested so far")

    def embed(texts: list[str]) -> Array:
        return session.store.embeddings.of(texts, model.identity, model.embed, "testing")

    return Contender(version, asked, embeddings(session, model, rows), embed)


def _write(path: Path, values: object) -> None:
    write_whole(path, json.dumps(values, indent=2, sort_keys=True) + "\n")
