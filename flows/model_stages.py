"""The stages of dvc.yaml that make and judge a model: the loop and `dvc repro` both run these.

They read data/champion and the rows of data/reservoir that the manifest in data/dataset names, write
data/candidate, metrics/*.json and a report, and depend on nothing else, so a tagged dataset version
always gives the same numbers. (Recipes that read requests without an answer read them in the log.)
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.arrays import Array, stacked
from core.files import write_whole
from core.ids import bucket
from core.models import families
from core.models.base import Classifier, Model
from core.records.versions import TestReport
from core.texts import words
from flows import teachers
from flows.answers import outputs, rights
from flows.runtimes import torch_agreement
from flows.session import Session
from pipelines.datasets.contents import EVALUATION, TESTED, TRAIN, rows_here
from pipelines.datasets.inputs import label_set, read_inputs
from pipelines.datasets.opinions import Opinions, here
from pipelines.testing import Contender, WritingContender, run_tests
from pipelines.testing.labels import Scarce, scarce
from pipelines.testing.memorization import memorizes
from pipelines.testing.report import write_report
from pipelines.testing.runtime import same_labels

MOST_ASKED = 100  # evaluation rows of a set, where an answer takes seconds

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
    rows, evaluation = rows_here(place, TRAIN), _some(session, rows_here(place, EVALUATION))
    needed, known = session.strategy.training.min_label_rows, _known(session)
    train = rows if known is None else rows[learnable(list(rows["target"]), known, needed)]
    data = TrainingData(
        session.inputs(train),
        train["target"].tolist(),
        embeddings(session, start, train),
        session.inputs(evaluation),
        evaluation["target"].tolist(),
        embeddings(session, start, evaluation),
        requests=teachers.requests(session, start.identity, session.strategy.training.reads),
        teacher=partial(teachers.teacher, session),
        names=_names(session, start, train["target"]),
    )
    data = replace(data, **_opinions(session))
    result = trained(session.strategy.training, data, start)
    if held := len(rows) - len(train):
        note = f"held back, as new labels with fewer than {needed} rows: {held}"
        metrics = {**result.metrics, "held_back_rows": float(held)}
        result = replace(result, metrics=metrics, notes=[*result.notes, note])
    shutil.rmtree(place.candidate, ignore_errors=True)  # what an earlier recipe left is not ours
    result.model.save(place.candidate)
    if session.task.costly:
        metrics = {**result.metrics, **_measured(session, result.model, evaluation)}
        result = replace(result, metrics=metrics)
    _write(place.metrics / "training.json", result.metrics)
    return result


def _opinions(session: Session) -> dict[str, Any]:
    """The pairs and ratings of the version."""
    from pipelines.training.data import Pair, Rating

    if session.task.labelled:
        return {}
    found = opinions(session)
    asked = [session.inputs(rows) for rows in (found.pairs, found.ratings)]
    pairs = zip(asked[0], found.pairs["chosen"], found.pairs["rejected"], strict=True)
    ratings = zip(asked[1], found.ratings["output"], found.ratings["score"], strict=True)
    return {
        "pairs": [Pair(*row) for row in pairs],
        "ratings": [Rating(x, output, float(score)) for x, output, score in ratings],
    }


def opinions(session: Session) -> Opinions:
    """What people think of answers, of the version in the folder."""
    place, task = session.workspace, session.task
    tested = rows_here(place, TESTED, ["input", "encoder", "embedding"])
    return here(place, tested, lambda stored: task.render(task.asked(stored)))


def _names(session: Session, model: Model, labels: pd.Series[str]) -> dict[str, Array]:
    """Embeddings of the labels' names, read as words: `card_lost` says what its rows are about."""
    if not session.task.labelled:
        return {}
    known = sorted(set(labels))
    read = session.store.embeddings.of(
        [words(x) for x in known], model.identity, model.embed, "label_names"
    )
    return dict(zip(known, read, strict=True))


def _start(session: Session) -> Model:
    """What the next model starts from: the champion, and before there is one the base model."""
    before = champion(session) or session.base
    started = before.start(_labels(session), session.strategy.model.runtime)
    return families.held(started, session.task.answer_schema)


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
    train, evaluation = rows_here(place, TRAIN), _some(session, rows_here(place, TESTED))
    report = run_tests(
        _contender(session, names[0], candidate, evaluation),
        _contender(session, names[1], before, evaluation) if before else None,
        evaluation,
        settings,
        _of_a_classifier(session, candidate, train, evaluation),
        _scarce(session, candidate, train, evaluation),
        session.task,
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
    """The labels that the champion answers, under their names of the dataset; None without one, and
    where answers are no labels."""
    before = champion(session) if session.task.labelled else None
    return None if before is None else before.under(_labels(session)).labels


def _of_a_classifier(
    session: Session, model: Model, train: pd.DataFrame, rows: pd.DataFrame
) -> list[Expectation]:
    """That its head learns by heart, and of one whose runtime is not torch that it says the same."""
    if not session.task.labelled:
        return []
    learnt = memorizes(embeddings(session, model, train), train["target"].tolist())
    told = torch_agreement(session, model, rows)
    return [learnt, *([same_labels(told)] if told else [])]


def _some(session: Session, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows to ask about: where an answer takes seconds, some of each set, the same ones each time."""
    if not session.task.costly:
        return rows
    places = rows["row_id"].map(bucket)
    return rows[places.groupby(rows["set"]).rank(method="first") <= MOST_ASKED].reset_index(drop=True)


def _measured(session: Session, model: Model, rows: pd.DataFrame) -> dict[str, float]:
    """What a recipe of classifiers says of itself: how many of the evaluation rows are right."""
    if not len(rows):
        return {"evaluation_rows": 0.0}
    said = outputs(session, model, session.inputs(rows), embeddings(session, model, rows))
    right = rights(session, said, rows["target"].tolist())
    return {"evaluation_rows": float(len(rows)), "evaluation_accuracy": float(right.mean())}


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


def _contender(
    session: Session, version: str, model: Model, rows: pd.DataFrame
) -> Contender | WritingContender:
    vectors = embeddings(session, model, rows)

    def embed(texts: list[str]) -> Array:
        return session.store.embeddings.of(texts, model.identity, model.embed, "testing")

    # a champion may be older than a merge, or than the normal form
    named = model.under(_labels(session))
    if isinstance(named, Classifier):
        return Contender(version, named, vectors, embed)
    said = outputs(session, model, session.inputs(rows), vectors)
    return WritingContender(version, said, lambda new: outputs(session, model, new, embed(new)))


def _write(path: Path, values: object) -> None:
    write_whole(path, json.dumps(values, indent=2, sort_keys=True) + "\n")
