"""The chance that an answer is right, learnt from the answers that have a label.

A confidence says what the model thinks of itself, and it thinks too well of itself on what it has never
seen. So two things count: the confidence, and how its neighbours among the labelled answers did against
theirs. The second is what notices a new topic, once a few of its rows have a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from monitoring.accuracy.answers import ScoredAnswers

MEMORY = 1000  # labelled answers that are looked back at, the newest
HALF_LIFE = 7.0  # days after which a label counts half: what a confidence is worth moves with traffic
REACH = 0.1  # cosine distance over which a neighbour's weight falls by a factor e
PRIOR_ROWS = 1.0  # neighbours that say "as expected", before any does
PRIOR = np.array([0.0, 1.0, 0.0, 0.0])  # until labels say otherwise, the confidence is the chance
PRIOR_PRECISION = np.array([1.0, 4.0, 4.0, 0.1])


@dataclass(frozen=True)
class Calibrator:
    """What labelled answers taught: coefficients (4,), and the answers with what surprised in them."""

    coefficients: Array
    memory: ScoredAnswers
    surprise: Array  # (m,) right minus expected

    def chances(self, answers: ScoredAnswers) -> Array:
        """(n,) the chance that each is right. Linear in n."""
        near = nearby(answers, self.memory, self.surprise)
        return sigmoid(_features(answers, near) @ self.coefficients)


def fit(labelled: ScoredAnswers) -> Calibrator:
    """Logistic regression of "right" on confidence, margin and neighbours, by maximum a posteriori: the
    fewer labels, the nearer to the confidence itself. Two rounds: what the first does not explain is
    what neighbours are asked about, each row by all others."""
    known = np.flatnonzero(np.isfinite(labelled.right))[-MEMORY:]
    rows = labelled.take(known)
    weight = _weight(rows)
    alone = _features(rows, np.zeros(len(rows)))
    first = likeliest(alone, rows.right, weight, PRIOR, PRIOR_PRECISION)
    surprise = rows.right - sigmoid(alone @ first)
    near = nearby(rows, rows, surprise, own=False)
    learnt = likeliest(_features(rows, near), rows.right, weight, PRIOR, PRIOR_PRECISION)
    return Calibrator(learnt, rows, surprise)


def prequential_chances(labelled: ScoredAnswers, asked: ScoredAnswers) -> Array:
    """(n,) the chance that each answer is right, as it was known on its day: learnt from the labels of
    the days before. So neither a row's own label nor a later one is in what is said of it."""
    labelled_day, day = np.floor(labelled.days), np.floor(asked.days)
    found = np.zeros(len(asked))
    for today in np.unique(day):
        here = day == today
        found[here] = fit(labelled.take(labelled_day < today)).chances(asked.take(here))
    return found


def _weight(rows: ScoredAnswers) -> Array:
    """(n,) answers that each stands for, the older the fewer, scaled so that they count as many as an
    even draw that says as much (Kish 1965). A label that nobody drew stands for itself."""
    drawn = (rows.chance > 0) & (rows.chance <= 1)
    weight = np.divide(1.0, rows.chance, where=drawn, out=np.ones(len(rows)))
    weight *= 0.5 ** ((rows.days.max(initial=-np.inf) - rows.days) / HALF_LIFE)
    return np.asarray(weight * weight.sum() / max(1e-12, float((weight**2).sum())))


def nearby(answers: ScoredAnswers, memory: ScoredAnswers, surprise: Array, own: bool = True) -> Array:
    """(n,) mean surprise of each answer's neighbours in memory, weighed by nearness, shrunk to 0.

    `own` False: the answers are the memory, and nobody is a neighbour to itself.
    """
    if not len(memory) or memory.embeddings.shape[1:] != answers.embeddings.shape[1:]:
        return np.zeros(len(answers))
    weight = np.exp((answers.embeddings @ memory.embeddings.T - 1) / REACH)
    if not own:
        np.fill_diagonal(weight, 0.0)
    near: Array = (weight @ surprise) / (weight.sum(axis=1) + PRIOR_ROWS)
    return near


def _features(answers: ScoredAnswers, near: Array) -> Array:
    best, second = np.clip(answers.shares, 1e-4, 1 - 1e-4).T
    sure = odds(best)
    return np.column_stack([np.ones(len(answers)), sure, np.log(best / second) - sure, near])


def likeliest(features: Array, right: Array, weight: Array, prior: Array, precision: Array) -> Array:
    """Logistic coefficients (k,) of features (n, k), the likeliest after a normal prior: Newton's steps
    for the penalised likelihood, cut where they would overshoot."""
    coefficients = prior.copy()
    for _ in range(25):
        chance = sigmoid(features @ coefficients)
        slope = features.T @ (weight * (right - chance)) - precision * (coefficients - prior)
        curve = (features.T * (weight * chance * (1 - chance))) @ features + np.diag(precision)
        step = np.linalg.solve(curve, slope)
        coefficients = coefficients + step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-8:
            break
    return coefficients


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))


def odds(chances: Array) -> Array:
    """Log odds, those of 1 in 10,000 at most."""
    inside = np.clip(chances, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(inside / (1 - inside)))
