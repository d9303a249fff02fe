"""An order of rows in which those that are alike are neighbours."""

from __future__ import annotations

import numpy as np

from core.records import Array


def apart(space: Array, chance: Array) -> Array:
    """(n,) positions of rows at (n, k), alike rows side by side."""
    return np.argsort(space[:, 0], kind="stable") if space.shape[1] else np.arange(len(space))
