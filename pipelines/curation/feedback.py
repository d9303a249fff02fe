"""`feedback`: answers that users complained of, before all others.

Thumbs down, low ratings, and another answer in place of this one. All other rows share the floor. Of an
answer that the model was sure of a complaint says most: the truth may have changed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from core.arrays import Array
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool


class BadFeedback(Curation):
    policy: Literal["feedback"]
    sureness: float = Field(
        0.0,
        ge=0,
        description="how much more a complaint counts where the model was sure: the power of one minus "
        "its doubt; 0 counts all alike",
    )

    def worth(self, pool: Pool) -> Array:
        return np.asarray(pool.complaints * (1 - np.minimum(pool.doubt, 1)) ** self.sureness)

    def most(self, pool: Pool) -> float:
        return float(pool.complaints.sum())
