"""`predicted-loss`: requests that an auxiliary model expects the champion to answer badly.

Learning loss (Yoo and Kweon, 2019), for a head on fixed embeddings: a ridge regression of the log loss
of known rows, each judged by a head that did not learn from it, on embedding and uncertainty. It
learns where the model is wrong without doubting. A row's worth is its expected loss, drawn
instead of cut off.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from core.arrays import Array
from core.models.classifier.head import fit_head
from core.near import unit
from core.rowwise import one_thread, rowwise
from core.tasks import CLASSIFICATION, doubtful
from pipelines.curation.entropy import entropies
from pipelines.curation.margin import margins
from pipelines.curation.picking import Curation
from pipelines.curation.pool import KnownRows, Pool

FOLDS = 3
LEAST = 1e-3  # probability: what a head cannot know costs about 7 nats, no more
RIDGE = 1.0
MIN_KNOWN = 2 * FOLDS


class PredictedLoss(Curation):
    tasks: ClassVar = (CLASSIFICATION,)  # it needs probabilities
    policy: Literal["predicted-loss"]

    def worth(self, pool: Pool) -> Array:
        known = pool.known.some(0)
        if len(known) < MIN_KNOWN or len(np.unique(known.labels)) < 2:
            return np.ones(len(pool))
        with one_thread():
            weights, bias = _regressor(known)
        dim = known.embeddings.shape[1]
        by_place = rowwise(lambda part: unit(part) @ weights[:dim], pool.window.embeddings)
        loss = by_place + _unsure(pool.probabilities) @ weights[dim:] + bias
        return np.asarray(np.maximum(loss, 0.0))


def _regressor(known: KnownRows) -> tuple[Array, float]:
    """((dim + 3,) weights, bias): the log loss of rows from their features."""
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(known)) % FOLDS
    features, losses = [], []
    for i in range(FOLDS):
        rest, here = fold != i, fold == i
        head = fit_head(known.embeddings[rest], known.labels[rest].tolist())
        p = head.probabilities(known.embeddings[here])
        place = np.searchsorted(head.labels, known.labels[here].astype(str))
        place = np.minimum(place, len(head.labels) - 1)
        right = np.array(head.labels)[place] == known.labels[here].astype(str)
        own = np.where(right, p[np.arange(len(p)), place], 0.0)
        losses.append(-np.log(np.maximum(own, LEAST)))
        features.append(np.hstack([unit(known.embeddings[here].astype(np.float32)), _unsure(p)]))
    x, y = np.concatenate(features).astype(np.float64), np.concatenate(losses)
    middle = x.mean(axis=0)
    square = (x - middle).T @ (x - middle) + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(square, (x - middle).T @ (y - y.mean()))
    return weights.astype(np.float32), float(y.mean() - middle @ weights)


def _unsure(probabilities: Array) -> Array:
    """(n, n_labels) -> (n, 3): how unsure the model is, in three ways."""
    ways = (doubtful(probabilities), margins(probabilities), entropies(probabilities))
    return np.stack(ways, axis=1)
