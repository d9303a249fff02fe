"""`entropy`: requests whose labels the model cannot tell apart, all of them counted.

Uncertainty sampling by entropy (Settles, Active Learning, 2012, eq. 2.4), drawn instead of cut off: a
row's worth is its entropy^4, and certain rows keep the floor.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from core.arrays import Array
from core.rowwise import rowwise
from core.tasks import CLASSIFICATION
from pipelines.curation.picking import SHARPNESS, Curation
from pipelines.curation.pool import Pool

LEAST = 1e-12


class Entropy(Curation):
    tasks: ClassVar = (CLASSIFICATION,)  # it needs probabilities
    policy: Literal["entropy"]

    def worth(self, pool: Pool) -> Array:
        return np.asarray(entropies(pool.probabilities) ** SHARPNESS)


def entropies(probabilities: Array) -> Array:
    """(n, n_labels) -> (n,) as `entropy`, of any float and any number of rows."""
    return rowwise(entropy, probabilities)


def entropy(p: Array) -> Array:
    """(m, n_labels) float32 -> (m,) in nats."""
    return np.asarray(np.maximum(-np.vecdot(p, np.log(np.maximum(p, LEAST))), 0.0))
