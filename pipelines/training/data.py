"""What every recipe gets and gives."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.errors import ModelError
from core.models.base import Answer, Classifier, Model
from core.params import Section
from core.returned import finite, shown, wrong

MODEL = ("identity", "labels", "embed", "answer", "under", "start", "save")  # the Model Protocol
ALONE = 2  # new labels with too few rows; more at once are new classes
ALIKE = 0.85  # of two names, by difflib


class Recipe(Section):
    """What all recipes have in common."""

    policy: str
    min_label_rows: int = Field(
        2,
        ge=1,
        description="rows to train on that a new label needs; one with fewer waits for more, since a "
        "slip of the keyboard makes a label of one row, too. Where three or more such labels come at "
        "once, only those wait whose name looks like another",
    )

    @property
    def reads(self) -> int:
        """Requests without a right answer that it trains on, at most."""
        return 0

    @abstractmethod
    def train(self, data: TrainingData, start: Model) -> Trained:
        """A new model, from the rows and from where the champion stands."""


@dataclass(frozen=True)
class Pair:
    """Two answers to one request: a correction and what it corrected, or the two sides of a rank."""

    input: Any  # a text, or chat messages
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Rating:
    """What a person thought of an answer."""

    input: Any  # a text, or chat messages
    output: str
    score: float  # 0 is bad, 1 is good


@dataclass(frozen=True, eq=False)
class Teacher:
    """A model that others learn from."""

    write: Callable[[Sequence[Any]], list[str]]  # its answers; "" where it gave no whole one
    model: Model | None = None  # where it lies on this machine


def _no_teacher(name: str) -> Teacher:
    raise ModelError("there is no teacher here", got=name, do="train in a workspace: everloop retrain")


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The rows of one dataset version, in time order. Embeddings are of the encoder that the training
    starts from."""

    inputs: list[Any]  # texts; to a model that writes, messages too
    targets: list[str]  # what it should say
    embeddings: Array  # (n, dim)
    eval_inputs: list[Any]
    eval_targets: list[str]
    eval_embeddings: Array  # (m, dim)
    pairs: Sequence[Pair] = ()
    ratings: Sequence[Rating] = ()
    requests: Sequence[Any] = ()  # without a right answer: as many as the recipe reads
    teacher: Callable[[str], Teacher] = _no_teacher  # by the name in params.yaml
    names: dict[str, Array] = field(default_factory=dict)  # embeddings (dim,) of the labels' names

    def __post_init__(self) -> None:
        train = {len(self.inputs), len(self.targets), len(self.embeddings)}
        evaluation = {len(self.eval_inputs), len(self.eval_targets), len(self.eval_embeddings)}
        if len(train) > 1 or len(evaluation) > 1 or not self.inputs:
            raise ModelError(
                "these rows cannot be trained on",
                got=f"inputs, targets, embeddings: {sorted(train)}; to evaluate: {sorted(evaluation)}",
                expected="equal counts, and at least one row to train on",
            )


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of it. Metrics depend on data, settings and seed alone, never on a clock."""

    model: Model
    metrics: dict[str, float]
    notes: list[str] = field(default_factory=list)  # for people: what was not as hoped, with numbers
    curves: dict[str, list[float]] = field(default_factory=dict)  # by name, a value for each step


def trained(recipe: Recipe, data: TrainingData, start: Model) -> Trained:
    """What a recipe makes of the rows. Raises PolicyError where it is no model that answers."""
    found: Any = recipe.train(data, start)
    expected = "Trained(model, metrics), its model answers, its metrics are finite numbers by name"
    if not isinstance(found, Trained) or not isinstance(found.metrics, Mapping):
        wrong(recipe, "train", shown(found), expected)
    for name, value in found.metrics.items():
        if not isinstance(name, str) or not finite(value):
            wrong(recipe, "train", f"the metric {name!r}: {shown(value)}", expected)
    if lacks := [verb for verb in MODEL if not hasattr(found.model, verb)]:
        wrong(recipe, "train", f"{shown(found.model)} without {', '.join(lacks)}", expected)
    read = data.embeddings[:1] if found.model.identity == start.identity else None
    said: Any = next(iter(found.model.answer(data.inputs[:1], read)), None)
    if not isinstance(said, Answer) or not finite(said.confidence):
        wrong(recipe, "train", f"a model that answers {data.inputs[0]!r} with {shown(said)}", expected)
    return found


def learnable(labels: Sequence[str], known: Collection[str], needed: int) -> Array:
    """(n,) rows to train on: all but those of new labels that may be a slip.

    A new label of fewer rows than needed waits. But a slip comes alone, or looks like a label there is:
    where more than ALONE such labels come at once, those that look like no other are new classes.

    >>> learnable(["a", "b", "c", "c"], {"a"}, 2).tolist()
    [True, False, True, True]
    >>> learnable(["transfer", "tranfer", "pay", "atm", "loan"], {"transfer"}, 2).tolist()
    [True, False, True, True, True]
    """
    rows = Counter(labels)
    few = [x for x in rows if x not in known and rows[x] < needed]
    alone = len(few) <= ALONE
    held = {x for x in few if alone or get_close_matches(x, {*rows, *known} - {x}, 1, ALIKE)}
    return np.array([x not in held for x in labels], bool)


def accuracy(model: Classifier, embeddings: Array, labels: list[str]) -> float:
    """Share of rows whose likeliest label is the true one; a label the model does not know is wrong.

    >>> from core.models.classifier.head import Head
    >>> head = Head(["no", "yes"], np.array([[-1.0], [1.0]], np.float32), np.zeros(2, np.float32))
    >>> accuracy(head, np.array([[1.0], [-1.0]]), ["yes", "perhaps"])
    0.5
    """
    best = model.probabilities(embeddings).argmax(axis=1)
    return float(np.mean(np.asarray(model.labels)[best] == np.asarray(labels)))


def measured(model: Classifier, data: TrainingData) -> dict[str, float]:
    """The metrics every recipe reports. Without evaluation rows there is no `evaluation_accuracy`."""
    metrics = {
        "train_rows": float(len(data.targets)),
        "train_labels": float(len(set(data.targets))),
        "train_accuracy": accuracy(model, data.embeddings, data.targets),
        "evaluation_rows": float(len(data.eval_targets)),
    }
    if data.eval_targets:
        metrics["evaluation_accuracy"] = accuracy(model, data.eval_embeddings, data.eval_targets)
    return metrics
