"""The statistical projection: the directions in which usual traffic varies most."""

from __future__ import annotations

import numpy as np

from core.arrays import Array
from monitoring.drift.features import ALL_THE_SAME, IncomparableError, check_comparable

COMPONENTS = 8


def principal(window: Array, reference: Array) -> tuple[Array, Array]:
    """(n, dim) and (m, dim) rows on the reference's first principal components (Pearson 1901)."""
    check_comparable(window, reference)
    centre = reference.mean(axis=0)
    away = reference - centre
    sizes, directions = np.linalg.eigh((away.T @ away / len(away)).astype(np.float64))
    if not sizes[-1] > 1e-9:
        raise IncomparableError(ALL_THE_SAME)
    first = directions[:, -COMPONENTS:][:, ::-1].astype(np.float32)
    return (window - centre) @ first, away @ first
