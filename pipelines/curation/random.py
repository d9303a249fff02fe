"""`random`: every request is worth the same. The baseline every other policy has to beat."""

from __future__ import annotations

from typing import Literal

import numpy as np

from core.records import Array, Window
from pipelines.curation.policy import Curation


class Random(Curation):
    policy: Literal["random"]

    def weights(self, window: Window) -> Array:
        return np.ones(len(window))
