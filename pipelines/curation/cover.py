"""`cover`: the fewest requests that stand for all that the model is likely wrong about.

A row weighs its doubt (of a classifier: 1 - best probability) times how unsure what is known leaves
it: of two doubtful rows the one that labels could help weighs more, since the other lies where
labels are many and doubt stays. Unsure is the standard error of ridge regression on the known rows,
the root of x' (X'X + R I)^-1 x, as D- and V-optimal designs lower it (Fedorov, 1972) and as the
width of a confidence bound in LinUCB (Li, Chu, Langford and Schapire, 2010). The rows that cover
the weights of all others best are found one after another, each by what it adds: facility location,
greedily (Nemhauser, Wolsey and Fisher, 1978; Wei, Iyer and Bilmes, 2015). They are all but certain
to be picked; the floor's share is drawn from the others. So ten requests for one new thing cost a
label or two, and not ten.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.near import unit
from core.rowwise import rowwise
from pipelines.curation.draw import inclusion
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool

MOST = 1500  # units of the greatest weight, which are to be covered, by themselves
RIDGE = 1.0  # three known rows like it halve what a row wants
LIKENESS = 3  # power of the cosine: how near a row must be to stand for another


class Cover(Curation):
    policy: Literal["cover"]
    floor: float = Field(
        0.02, gt=0, le=1, description="share of the picks drawn as if every request were worth the same"
    )

    def worth(self, pool: Pool) -> Array:
        return wants(pool)

    def chances(self, pool: Pool, budget: float) -> Array:
        """As `Curation.chances`: 1 for the first of the greedy order, a floor for the others."""
        stands = np.bincount(pool.units, 1 / pool.window.kept / pool.sizes)
        if budget >= len(stands):
            return 1 / pool.sizes
        weights = np.bincount(pool.units, pool.once(self, lambda: self.worth(pool)) / pool.window.kept)
        first = covering(pool.window.embeddings[pool.leaders], weights, int(budget) + 1)
        gaps = np.minimum(np.maximum((1 - self.floor) * budget - np.arange(len(first)), 0), 1)
        chance = np.zeros(len(stands))
        chance[first] = gaps
        chance[chance == 0] = inclusion(stands[chance == 0], budget - chance.sum())
        return np.asarray(chance[pool.units] / pool.sizes)


def wants(pool: Pool) -> Array:
    """(n,) how much each row may be wrong for want of labels: doubt x standard error, >= 0."""
    known = unit(pool.known.some(0).embeddings.astype(np.float32))
    if len(known) == 0 or known.shape[1] != pool.window.embeddings.shape[1]:
        return pool.doubt
    inverse = np.linalg.inv(known.T @ known + RIDGE * np.eye(known.shape[1], dtype=np.float32))
    variance = rowwise(lambda part: np.vecdot((u := unit(part)) @ inverse, u), pool.window.embeddings)
    return np.asarray(pool.doubt * np.sqrt(np.maximum(variance, 0)))


def covering(embeddings: Array, weights: Array, size: int) -> Array:
    """At most `size` positions among rows (n, dim), the best first; none that adds nothing.

    >>> covering(np.array([[1, 0], [1, 0.1], [0, 1]]), np.array([1.0, 2.0, 1.5]), 2).tolist()
    [1, 2]
    """
    heavy = np.argsort(-weights, kind="stable")[:MOST]
    rows = unit(embeddings[heavy].astype(np.float32))
    gain_of = np.maximum(rows @ rows.T, 0) ** LIKENESS
    weights = weights[heavy].astype(np.float32)
    covered, found = np.zeros(len(rows), dtype=np.float32), []
    least = float(weights.sum()) * 1e-6
    for _ in range(min(size, len(rows))):
        adds = np.maximum(gain_of - covered, 0) @ weights
        best = int(adds.argmax())
        if adds[best] <= least:
            break
        found.append(best)
        covered = np.maximum(covered, gain_of[best])
    return np.asarray(heavy[np.array(found, dtype=int)])
