"""`impact`: requests whose label would move the model most.

BADGE (Ash et al., 2020): the gradient of a row's loss in the last layer, were its best label right, is
(p - best) x embedding. A row's worth is its squared norm, the first draw of their k-means++; their
other draws keep apart in gradient space, which the one draw here does, too.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from core.arrays import Array
from core.near import PLACES
from core.rowwise import rowwise
from core.tasks import CLASSIFICATION
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool


class Impact(Curation):
    tasks: ClassVar = (CLASSIFICATION,)  # it needs probabilities
    policy: Literal["impact"]

    def worth(self, pool: Pool) -> Array:
        lengths = rowwise(lambda part: np.vecdot(part, part), pool.window.embeddings)
        residuals = rowwise(lambda p: np.vecdot(r := _residual(p), r), pool.probabilities)
        return np.asarray(residuals * lengths)

    def space(self, pool: Pool) -> Array:
        """Gradients (n_labels x k numbers), sketched: products of random projections of their two sides
        keep inner products (Kronecker random projections; Sun et al., 2018, section 3)."""
        p, at = pool.probabilities, pool.places
        if 0 in (p.shape[1], at.shape[1]):
            return at
        rng = np.random.default_rng(0)
        sides = [rng.standard_normal((m.shape[1], PLACES)).astype(np.float32) for m in (p, at)]
        return rowwise(lambda part: _residual(part) @ sides[0], p) * (at @ sides[1])


def _residual(p: Array) -> Array:
    """(m, n_labels) probabilities less the best label, in place."""
    if p.shape[1]:
        p[np.arange(len(p)), p.argmax(axis=1)] -= 1
    return p
