"""`like-these`: requests like a named collection of errors.

`nearest` draws by likeness to the nearest row of the collection. `classifier` learns to tell the
collection from the candidates (a logistic regression) and draws by its odds. Both are drawn
instead of cut off.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from core.errors import DataError
from core.near import unit
from core.rowwise import rowwise
from pipelines.curation.logistic import odds
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool

SHARPNESS = 20.0  # a cosine of 0.1 more is worth e^2 times as much
MOST = 500  # rows of a collection that are compared


class LikeThese(Curation):
    policy: Literal["like-these"]
    collection: str = Field("", description="name of a collection; '' is all of them")
    by: Literal["nearest", "classifier"] = Field("nearest", description="what says how like they are")

    def worth(self, pool: Pool) -> Array:
        rows = self._rows(pool)
        if len(rows) == 0:
            return np.ones(len(pool))
        if self.by == "classifier":
            return odds(rows, pool.window.embeddings, pool.window.embeddings)
        step = -(-len(rows) // MOST)
        few = unit(rows[::step].astype(np.float32))
        likest = rowwise(lambda part: (unit(part) @ few.T).max(axis=1), pool.window.embeddings)
        return np.asarray(np.exp(SHARPNESS * (likest - 1)))

    def _rows(self, pool: Pool) -> Array:
        """(k, dim) embeddings. Raises DataError for a collection that nobody made."""
        known = pool.collections
        if self.collection and self.collection not in known:
            raise DataError(
                "there is no collection of this name",
                where="params.yaml, curation.collection",
                got=self.collection,
                expected=f"one of {', '.join(sorted(known))}"
                if known
                else "a name, but there are none",
                do="everloop collection list",
            )
        named = [known[self.collection]] if self.collection else [known[name] for name in sorted(known)]
        return np.concatenate(named) if named else np.zeros((0, 0), dtype=np.float32)
