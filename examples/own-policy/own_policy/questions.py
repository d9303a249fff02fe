"""Which requests are worth a label? Here: questions, since this shop must answer them right."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from core.arrays import Array
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool


class Questions(Curation):
    """A question is worth several times as much as any other request."""

    times: float = Field(5.0, gt=0, description="how much more a question is worth")

    def worth(self, pool: Pool) -> Array:
        asks = [text.rstrip().endswith("?") for text in pool.window.rows["text"]]
        return np.where(np.array(asks, dtype=bool), self.times, 1.0)
