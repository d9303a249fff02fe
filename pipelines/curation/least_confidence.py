"""`least-confidence`: requests whose answer the model doubts most.

Uncertainty sampling (Lewis and Gale, 1994), drawn instead of cut off: a row's worth is doubt^4 (of a
classifier: 1 - best probability), and certain rows keep the floor.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from core.arrays import Array
from pipelines.curation.picking import SHARPNESS, Curation
from pipelines.curation.pool import Pool


class LeastConfidence(Curation):
    policy: Literal["least-confidence"]

    def worth(self, pool: Pool) -> Array:
        return np.asarray(pool.doubt**SHARPNESS)
