"""`margin`: requests the model hesitated over, best against second-best label.

Uncertainty sampling by smallest margin (Scheffer, Decomain and Wrobel, 2001), drawn instead of cut
off: a row's worth is (1 - margin)^4, and certain rows keep the floor.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from core.arrays import Array
from core.rowwise import rowwise
from core.tasks import CLASSIFICATION
from pipelines.curation.picking import SHARPNESS, Curation
from pipelines.curation.pool import Pool


class Margin(Curation):
    tasks: ClassVar = (CLASSIFICATION,)  # it needs probabilities
    policy: Literal["margin"]

    def worth(self, pool: Pool) -> Array:
        return np.asarray(np.maximum(1.0 - margins(pool.probabilities), 0.0) ** SHARPNESS)


def margins(probabilities: Array) -> Array:
    """Best minus second-best of the probabilities (n, n_labels), (n,); 1 where there is one label."""

    def work(p: Array) -> Array:
        if p.shape[1] < 2:
            return np.ones(len(p), dtype=np.float32)
        rows, best = np.arange(len(p)), p.argmax(axis=1)
        first = p[rows, best]
        p[rows, best] = -1.0  # of the copy that `rowwise` made
        return np.asarray(first - p.max(axis=1))

    return rowwise(work, probabilities)
