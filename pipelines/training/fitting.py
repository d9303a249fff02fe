"""How the head is fitted, chosen at every retrain on its own rows: the latest test what the others
taught.

One thing at a time, from the best so far: the penalty, the weight of rare labels, the names of labels
as first rows. Another value is taken where it is better by more than one standard error.

The penalty moves the confidence, too, which rollouts compare and limits are set on. So a temperature
(Guo et al. 2017) makes the chosen head as sure of the latest rows as one under the usual penalty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.models.classifier.head import BALANCED, Fitting, Head, fit_head, softmax
from core.texts import counted

Metric = Literal["accuracy", "macro-f1"]
METRIC: Any = Field("accuracy", description="what the penalty and the weights of labels are chosen for")
LATEST = 0.25  # of the rows, which test
FEWEST = 40  # rows that test; with fewer nothing is chosen
TEMPERATURES = np.geomspace(1 / 8, 8, 61)
FIRST = Fitting(balance=0.5, penalty=1 / 10, names=1.0)
STEPS: tuple[dict[str, tuple[float, ...]], ...] = (
    {"penalty": (1 / 30, 1 / 3, 1.0)},
    {"balance": (0.0, 1.0)},
    {"names": (0.0, 4.0)},
)


@dataclass(frozen=True)
class HeadChoice:
    """What was chosen, and what each that was tried reached on the latest rows."""

    fitting: Fitting
    tried: dict[Fitting, float]
    rows: int  # that tested
    metric: Metric
    temperature: float = 1.0  # what the scores are divided by

    @property
    def metrics(self) -> dict[str, float]:
        f = self.fitting
        chosen = {
            "fit_balance": f.balance,
            "fit_penalty": f.penalty,
            "fit_names": f.names,
            "fit_temperature": self.temperature,
        }
        return {**chosen, **({"cross_validated": self.tried[f]} if self.tried else {})}

    @property
    def notes(self) -> list[str]:
        """For people; nothing where too few rows could test."""
        if not self.tried:
            return []
        f, reached = self.fitting, self.tried.values()
        named = f", a label's name counts for {counted(round(f.names), 'row')}" if f.names else ""
        return [
            f"C {1 / f.penalty:g}, a row weighs 1 / (rows of its label)^{f.balance:g}{named}: "
            f"{self.metric} {self.tried[f]:.3f} on the {self.rows} latest rows by a head of the ones "
            f"before; {len(reached)} tried, {min(reached):.3f} to {max(reached):.3f}"
        ]


def choose(
    embeddings: Array, labels: Sequence[str], names: Mapping[str, Array], metric: Metric = "accuracy"
) -> HeadChoice:
    """How to fit a head to these rows, which are in the order of time: (n, dim) of n labels."""
    said = np.asarray(labels, str)
    cut = len(said) - int(LATEST * len(said))
    before, after = said[:cut], said[cut:]
    if len(after) < FEWEST or len(set(before)) < 2:
        return HeadChoice(BALANCED, {}, len(after), metric)
    tried: dict[Fitting, float] = {}
    right: dict[Fitting, Array] = {}
    heads: dict[Fitting, Head] = {}
    best, start = FIRST, None
    for step in ({}, *STEPS) if names else ({}, *STEPS[:-1]):
        for fitting in _neighbours(best, step):
            start = fit_head(embeddings[:cut], list(before), start=start, fitting=fitting, names=names)
            guess = np.asarray(start.labels)[start.probabilities(embeddings[cut:]).argmax(axis=1)]
            heads[fitting] = start
            tried[fitting], right[fitting] = _score(guess, after, metric), guess == after
        top = max(tried, key=lambda f: tried[f])
        changed = np.count_nonzero(right[top] != right[best])
        if tried[top] - tried[best] > np.sqrt(changed) / len(after):  # paired, as McNemar's test
            best = top
    usual = fit_head(embeddings[:cut], list(before), start=start)
    temperature = _temperature(heads[best], usual, embeddings[cut:])
    return HeadChoice(best, tried, len(after), metric, temperature)


def _temperature(head: Head, usual: Head, embeddings: Array) -> float:
    """What a head's scores are divided by to be as sure of these rows as the usual one."""
    scores, wanted = head.scores(embeddings), _sureness(usual.scores(embeddings))
    apart = [abs(_sureness(scores / np.float32(t)) - wanted) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(apart))])


def _sureness(scores: Array) -> float:
    """Mean share of the likeliest label."""
    return float(softmax(scores).max(axis=1).mean())


def _neighbours(best: Fitting, step: Mapping[str, tuple[float, ...]]) -> list[Fitting]:
    """`best` with each value of a step; `best` itself where there is none."""
    return [replace(best, **{k: v}) for k, values in step.items() for v in values] or [best]


def _score(guess: Array, labels: Array, metric: Metric) -> float:
    from sklearn.metrics import f1_score

    if metric == "accuracy":
        return float(np.mean(guess == labels))
    return float(f1_score(labels, guess, average="macro", labels=np.unique(labels), zero_division=0))
