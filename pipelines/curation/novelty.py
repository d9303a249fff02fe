"""`novelty`: requests that are easily told from what the model learnt from.

Discriminative active learning (Gissin and Shalev-Shwartz, 2019): a classifier learns to tell known rows
from candidates, and a row's worth is its odds of being no known one. They take the surest in many
small batches, each counted as known for the next; here the rows are drawn, and kept apart.
"""

from __future__ import annotations

from typing import Literal

from core.arrays import Array
from pipelines.curation.logistic import odds
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool


class Novelty(Curation):
    policy: Literal["novelty"]

    def worth(self, pool: Pool) -> Array:
        return odds(pool.window.embeddings, pool.known.embeddings, pool.window.embeddings)
