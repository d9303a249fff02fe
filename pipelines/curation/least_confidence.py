"""`least-confidence`: requests whose best label the model believes in least.

Uncertainty sampling (Lewis and Gale, 1994), drawn instead of cut off: a row's worth is
(1 - best probability)^4, and certain rows keep the floor.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from core.records import Array
from core.rowwise import rowwise
from pipelines.curation.policy import SHARPNESS, Curation
from pipelines.curation.pool import Pool


class LeastConfidence(Curation):
    policy: Literal["least-confidence"]

    def worth(self, pool: Pool) -> Array:
        return np.asarray(np.maximum(doubt(pool.probabilities), 0.0) ** SHARPNESS)


def doubt(probabilities: Array) -> Array:
    """(n, n_labels) -> (n,) one minus the best probability; 1 where there is none."""
    return rowwise(lambda p: 1 - p.max(axis=1, initial=0.0), probabilities)
