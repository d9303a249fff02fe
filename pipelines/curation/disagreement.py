"""`disagreement`: requests that heads see differently, each trained on another draw of the labels.

Query by bagging (Abe and Mamitsuka, 1998) with the mutual information of label and head (BALD:
Houlsby et al., 2011, eq. 2) as worth: the entropy of the heads' mean, less their mean entropy. What
one head alone finds hard is worth nothing. Drawn instead of cut off.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from core.arrays import Array
from core.models.classifier.head import Head, fit_head
from core.rowwise import one_thread, rowwise
from core.tasks import CLASSIFICATION
from pipelines.curation.entropy import entropy
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool

HEADS = 5


class Disagreement(Curation):
    tasks: ClassVar = (CLASSIFICATION,)  # it needs probabilities
    policy: Literal["disagreement"]

    def worth(self, pool: Pool) -> Array:
        with one_thread():
            heads = _committee(pool)
        if not heads:
            return np.ones(len(pool))
        return rowwise(lambda part: _information(heads, part), pool.window.embeddings)


def _committee(pool: Pool) -> list[Head]:
    """Heads with the same labels, each of a bootstrap of the known rows; none where none is known."""
    known = pool.known.some(0)
    labels = np.unique(known.labels)
    if len(labels) < 2:
        return []
    found = []
    for seed in range(HEADS):
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, len(known), len(known))
        here = np.union1d(drawn, np.unique(known.labels, return_index=True)[1])  # no label is lost
        head = fit_head(known.embeddings[here], known.labels[here].tolist(), seed=seed)
        found.append(head)
    return found


def _information(heads: list[Head], part: Array) -> Array:
    """(m,) nats that the label of each row says about which head is right."""
    said = [head.probabilities(part) for head in heads]
    whole = sum(said[1:], said[0]) / len(heads)
    own = sum(entropy(p) for p in said) / len(heads)
    return np.asarray(np.maximum(entropy(whole) - own, 0.0))
