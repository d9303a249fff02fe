"""`feedback`: answers that users complained of, before all others.

Thumbs down and corrections to another label. All other rows share the floor.
"""

from __future__ import annotations

from typing import Literal

from core.arrays import Array
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool


class BadFeedback(Curation):
    policy: Literal["feedback"]

    def worth(self, pool: Pool) -> Array:
        return pool.complaints.astype(float)
