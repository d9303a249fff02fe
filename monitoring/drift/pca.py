"""The statistical projection: the directions in which usual traffic varies most."""

from __future__ import annotations

import numpy as np

from core.arrays import Array
from monitoring.drift.features import IncomparableError, check_finite

COMPONENTS = 8


def principal(window: Array, reference: Array) -> tuple[Array, Array]:
    """(n, dim) and (m, dim) rows on the reference's first principal components (Pearson 1901)."""
    check_finite(window, "the window")
    check_finite(reference, "the reference")
    centre = reference.mean(axis=0)
    away = reference - centre
    sizes, directions = np.linalg.eigh((away.T @ away / len(away)).astype(np.float64))
    if not sizes[-1] > 1e-9:
        raise IncomparableError("the embeddings of the reference are all the same")
    first = directions[:, -COMPONENTS:][:, ::-1].astype(np.float32)
    return (window - centre) @ first, away @ first
