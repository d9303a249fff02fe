"""`stratified`: every stratum gets its share of the labels, however rare it is."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from core.records import Array
from pipelines.curation.policy import Curation
from pipelines.curation.pool import Pool


class Stratified(Curation):
    policy: Literal["stratified"]
    by: str = Field("label", description="'label' (predicted) or the name of a segment")

    def worth(self, pool: Pool) -> Array:
        column = self.by if self.by == "label" else f"segment.{self.by}"
        if column not in pool.window.rows:
            return np.ones(len(pool))  # a segment nobody sent: one stratum
        strata = pd.factorize(pool.window.rows[column].astype(str))[0]
        return np.asarray(1.0 / np.bincount(strata, 1 / pool.sizes, minlength=1)[strata])
