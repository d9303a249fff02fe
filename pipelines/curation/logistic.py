"""Which rows look like one set of rows rather than another: a small logistic regression."""

from __future__ import annotations

import numpy as np

from core.arrays import Array
from core.near import unit
from core.rowwise import one_thread, rowwise

MOST = 5000  # rows of either set that are looked at
STRENGTH = 1000.0  # how much the data says beside the penalty, however many rows there are
FARTHEST = 15.0  # log odds


def odds(these: Array, those: Array, embeddings: Array) -> Array:
    """(n,) how many times likelier each row (n, dim) is one of `these` (a, dim) than one of `those`.

    Both sets weigh the same. Equal odds where one of them has no row that can be compared.
    """
    from sklearn.linear_model import LogisticRegression

    sides = [_some(rows, seed) for seed, rows in enumerate((these, those))]
    if min(len(side) for side in sides) == 0:
        return np.ones(len(embeddings))
    counts = [len(side) for side in sides]
    model = LogisticRegression(C=STRENGTH / sum(counts), class_weight="balanced", max_iter=200)
    with one_thread():
        model.fit(np.concatenate(sides), np.repeat([1, 0], counts))
    weight, bias = model.coef_[0].astype(np.float32), float(model.intercept_[0])
    scores = rowwise(lambda part: unit(part) @ weight + bias, embeddings)
    return np.asarray(np.exp(np.clip(scores, -FARTHEST, FARTHEST)))


def _some(rows: Array, seed: int) -> Array:
    """At most MOST of the rows, of length 1, without those that are no numbers."""
    few = rows
    if len(rows) > MOST:
        few = rows[np.sort(np.random.default_rng(seed).choice(len(rows), MOST, replace=False))]
    scaled = unit(few.astype(np.float32))
    return np.asarray(scaled[scaled.any(axis=1)])
