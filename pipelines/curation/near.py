"""Where rows lie, and which of them are near-copies of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.records import Array

PLACES = 32  # directions


def places(embeddings: Array) -> Array:
    """(n, dim) of any float -> (n, k) float32, k <= PLACES."""
    return np.nan_to_num(embeddings[:, :PLACES]).astype(np.float32)


def units(texts: pd.Series, embeddings: Array, where: Array) -> Array:
    """(n,) numbers of groups of near-copies."""
    return np.asarray(pd.factorize(texts)[0], dtype=int)
