"""`stratified`: every stratum gets the same share of the labels, however rare it is."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from core.records import Array, Window
from pipelines.curation.policy import Curation


class Stratified(Curation):
    policy: Literal["stratified"]
    by: str = Field("label", description="'label' (predicted) or the name of a segment")

    def weights(self, window: Window) -> Array:
        column = self.by if self.by == "label" else f"segment.{self.by}"
        if column not in window.rows:
            strata = pd.Series([""] * len(window))  # a segment nobody sent: one stratum
        else:
            strata = window.rows[column].astype(str)
        return (1.0 / strata.map(strata.value_counts())).to_numpy(dtype=float)
