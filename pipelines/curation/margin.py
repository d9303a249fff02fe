"""`margin`: requests the model hesitated over, best against second-best label.

Uncertainty sampling by smallest margin (Scheffer, Decomain and Wrobel, 2001), drawn instead of cut
off: a row's worth is (1 - margin)^sharpness with a floor, so certain rows keep a small chance.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from core.records import Array, Window
from pipelines.curation.policy import Curation


class Margin(Curation):
    policy: Literal["margin"]
    sharpness: float = Field(4.0, ge=0, description="0 draws like random, larger cuts off harder")
    floor: float = Field(0.01, gt=0, le=1, description="worth of a row the model is sure of")

    def weights(self, window: Window) -> Array:
        return np.maximum(1.0 - margins(window), 0.0) ** self.sharpness + self.floor


def margins(window: Window) -> Array:
    """Best minus second-best probability of each row, (n,); 1 where a model has one label only."""

    def margin(p: Array) -> float:
        if len(p) < 2:
            return 1.0
        second, first = np.partition(p, len(p) - 2)[-2:]
        return float(first - second)

    return np.array([margin(p) for p in window.probabilities])
