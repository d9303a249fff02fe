"""`stratified`: every stratum gets labels, however rare it is.

A share of the labels goes to the strata evenly, which is a floor for the rare ones, and the rest to
them by their size (Cochran, Sampling Techniques, 1977, chapter 5). Near-copies count once.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.rowwise import rowwise
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool

SAMPLE = 10_000  # rows that say where the clusters are


class Stratified(Curation):
    policy: Literal["stratified"]
    by: str = Field("label", description="'label' (predicted), 'cluster', or the name of a segment")
    clusters: int = Field(20, ge=1, description="how many, where strata are clusters")

    def worth(self, pool: Pool) -> Array:
        if len(pool) == 0:
            return np.ones(0)
        strata = self._strata(pool)
        rows = np.bincount(strata, 1 / pool.sizes)
        return np.asarray(1 / (rows * len(rows))[strata])

    def _strata(self, pool: Pool) -> Array:
        """(n,) the number of each row's stratum."""
        import pandas as pd

        if self.by == "cluster":
            return _clusters(pool.places, self.clusters)
        column = "output" if self.by == "label" else f"segment.{self.by}"
        if column not in pool.window.rows:
            return np.zeros(len(pool), dtype=int)  # a segment nobody sent: one stratum
        return pd.factorize(pool.window.rows[column], use_na_sentinel=False)[0]


def _clusters(places: Array, count: int) -> Array:
    """(n,) k-means clusters of rows by their places, found on some of them."""
    from sklearn.cluster import KMeans

    few = places[:: max(1, len(places) // SAMPLE)]
    count = min(count, len(np.unique(few, axis=0)))
    if count < 2:
        return np.zeros(len(places), dtype=int)
    middles = KMeans(count, n_init=1, random_state=0).fit(few).cluster_centers_
    lengths = np.vecdot(middles, middles)
    return rowwise(lambda part: (lengths - 2 * part @ middles.T).argmin(axis=1), places)
