"""`random`: every request is worth the same. The baseline every other policy has to beat."""

from __future__ import annotations

from typing import Literal

import numpy as np

from core.arrays import Array
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool


class Random(Curation):
    policy: Literal["random"]

    def worth(self, pool: Pool) -> Array:
        return np.ones(len(pool))
