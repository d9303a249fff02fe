"""`representative`: requests that stand for many others which no known row stands for yet.

`facility-location` (Wei, Iyer and Bilmes, 2015): a row's worth is what it would add to the likeness of
all candidates to their nearest known row. `k-center` (Sener and Savarese, 2018): its worth is the
squared distance to the nearest known row, the draw of k-means++ (Arthur and Vassilvitskii, 2007,
section 2.2). Both are greedy there, a row at a time; here all rows are drawn at once, and kept apart.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.rowwise import rowwise
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool

MOST = 1000  # candidates that stand for all, and known rows


class Representative(Curation):
    policy: Literal["representative"]
    by: Literal["facility-location", "k-center"] = Field(
        "facility-location", description="stand for many others, or lie far from all that is known"
    )

    def worth(self, pool: Pool) -> Array:
        known = pool.placed(pool.known.some(0, MOST).embeddings)
        if self.by == "k-center":
            centers = known if len(known) else pool.places.mean(axis=0, keepdims=True)
            return rowwise(lambda part: _squares(part, centers).min(axis=1), pool.places)
        few = np.random.default_rng(0).permutation(len(pool.leaders))[:MOST]
        crowd = pool.places[pool.leaders[few]]
        covered = _likeness(crowd, known).max(axis=1, initial=0.0)
        return rowwise(
            lambda part: np.maximum(_likeness(part, crowd) - covered, 0).sum(axis=1), pool.places
        )


def _likeness(one: Array, other: Array) -> Array:
    """(a, b) cosine of rows at their places, 0 where it is less."""
    return np.maximum(1 - _squares(one, other) / 2, 0)


def _squares(one: Array, other: Array) -> Array:
    """(a, b) squared distances."""
    lengths = np.vecdot(one, one)[:, None] + np.vecdot(other, other)
    return np.asarray(np.maximum(lengths - 2 * (one @ other.T), 0))
