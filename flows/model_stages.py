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

from core.files import write_whole
from core.records import Array, TestReport
from flows.home import Home
from flows.runtimes import torch_agreement
from pipelines.datasets.contents import EVALUATION, TESTED, TRAIN, rows_here
from pipelines.datasets.inputs import label_set, read_inputs
from pipelines.testing import Contender, run_tests
from pipelines.testing.labels import Scarce, scarce
from pipelines.testing.memorization import memorizes
from pipelines.testing.report import write_report
from pipelines.testing.runtime import same_labels

if TYPE_CHECKING:
    from core.models.classifier.head import Head
    from core.models.classifier.model import TextClassifier
    from pipelines.testing.expectations import Expectation
    from pipelines.training import Trained


def train_candidate(home: Home) -> Trained:
    """Stage `training`: data/dataset, data/champion in; data/candidate, metrics/training.json out."""
    from pipelines.training import TrainingData, learnable

    place = home.workspace
    start = _start(home).on(home.strategy.model.runtime)
    rows, evaluation = rows_here(place, TRAIN), rows_here(place, EVALUATION)
    needed, known = home.strategy.training.min_label_rows, _known(home)
    train = rows if known is None else rows[learnable(list(rows["label"]), known, needed)]
    data = TrainingData(
        train["text"].tolist(),
        train["label"].tolist(),
        embeddings(home, start, train),
        evaluation["text"].tolist(),
        evaluation["label"].tolist(),
        embeddings(home, start, evaluation),
    )
    trained = home.strategy.training.train(data, start)
    if held := len(rows) - len(train):
        note = f"held back, as new labels with fewer than {needed} rows: {held}"
        metrics = {**trained.metrics, "held_back_rows": float(held)}
        trained = replace(trained, metrics=metrics, notes=[*trained.notes, note])
    shutil.rmtree(place.candidate, ignore_errors=True)  # what an earlier recipe left is not ours
    trained.model.save(place.candidate)
    _write(place.metrics / "training.json", trained.metrics)
    return trained


def _start(home: Home) -> TextClassifier:
    """The champion, without labels that are gone by the time of the dataset."""
    from core.models.classifier.migrated import learning

    before, labels = champion(home), label_set(home.workspace, read_inputs(home.workspace))
    return replace(before, head=learning(before.head, labels)) if before.head else before


def test_candidate(home: Home, names: tuple[str, str], page: Path) -> TestReport:
    """Stage `testing`: data/dataset, data/candidate and data/champion in; metrics/testing.json out.

    `names` are the versions of candidate and champion; `page` is where the HTML report goes.
    """
    from core.models.classifier.head import fit_head
    from core.models.classifier.model import TextClassifier

    place = home.workspace
    settings = home.strategy.testing
    candidate, before = TextClassifier.load(place.candidate), champion(home)
    train, evaluation = rows_here(place, TRAIN), rows_here(place, TESTED)
    learnt = memorizes(
        lambda rows, labels: fit_head(rows, labels),
        embeddings(home, candidate, train),
        train["label"].tolist(),
    )
    report = run_tests(
        _contender(home, names[0], candidate, evaluation),
        _contender(home, names[1], before, evaluation) if before.head else None,
        evaluation,
        settings,
        [learnt, *_same_labels(home, candidate, evaluation)],
        _scarce(home, candidate.head, train, evaluation),
    )
    write_report(report, page)
    _write(place.metrics / "testing.json", report.metrics)
    return report


def _scarce(
    home: Home, candidate: Head | None, train: pd.DataFrame, evaluation: pd.DataFrame
) -> Scarce:
    """Labels of which there is little. To the first model all are new: nothing is held back from it."""
    known = _known(home)
    if candidate is None or known is None:
        return Scarce()
    needed = home.strategy.training.min_label_rows
    return scarce(list(train["label"]), list(evaluation["label"]), candidate.labels, known, needed)


def _known(home: Home) -> list[str] | None:
    """The labels that the champion answers, under their names of the dataset; None without one."""
    from core.models.classifier.migrated import answering

    head = champion(home).head
    labels = label_set(home.workspace, read_inputs(home.workspace))
    return None if head is None else answering(head, labels).labels


def _same_labels(home: Home, model: TextClassifier, rows: pd.DataFrame) -> list[Expectation]:
    """What is asked of a model whose runtime is not torch."""
    if model.encoder.runtime == "torch" or not len(rows):
        return []
    return [same_labels(torch_agreement(home, model, rows))]


def champion(home: Home) -> TextClassifier:
    """The champion of the dataset version; before there is one, the base encoder without a head."""
    from core.models.classifier.model import TextClassifier

    folder = home.workspace.champion
    if any(folder.iterdir()):
        return TextClassifier.load(folder)
    return TextClassifier(home.encoder, None)


def embeddings(home: Home, model: TextClassifier, rows: pd.DataFrame) -> Array:
    """Embeddings (n, dim) float32 of reservoir rows under a model's encoder.

    Rows that travelled with an embedding of this encoder reuse it; after a fine-tuned encoder the
    others are read again, once.
    """
    identity = model.encoder.identity
    if not len(rows):
        return np.zeros((0, model.encoder.dim), np.float32)
    if (rows["encoder"] == identity).all():
        return np.stack([np.frombuffer(e, np.float16) for e in rows["embedding"]]).astype(np.float32)
    return home.store.embeddings.of(rows["text"].tolist(), identity, model.encoder.encode, "reread")


def _contender(home: Home, version: str, model: TextClassifier, rows: pd.DataFrame) -> Contender:
    from core.models.classifier.migrated import answering

    head: Head | None = model.head
    if head is None:
        raise AssertionError("only a model with a head is tested")
    encoder = model.encoder

    def embed(texts: list[str]) -> Array:
        return home.store.embeddings.of(texts, encoder.identity, encoder.encode, "testing")

    labels = label_set(home.workspace, read_inputs(home.workspace))
    asked = answering(head, labels)  # a champion may be older than a merge, or than the normal form
    return Contender(version, asked, embeddings(home, model, rows), embed)


def _write(path: Path, values: object) -> None:
    write_whole(path, json.dumps(values, indent=2, sort_keys=True) + "\n")
