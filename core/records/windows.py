from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from core.arrays import Array
from core.ids import log_place

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Window:
    """Answered requests of [start, end): rows and the arrays that travel with them.

    rows: prediction_id, request_id, timestamp, model_version, variant, text, output, confidence,
    encoder, user_key, latency_ms, truth (None where unknown), score (how right the output is, 0..1,
    NaN where unknown), audit (bool), kept (chance that the log kept the row), propensity (chance that
    it was kept and picked, NaN where not picked), and one `segment.<name>` column for each segment.
    """

    start: datetime
    end: datetime
    rows: pd.DataFrame
    embeddings: Array  # (n, dim) float32
    probabilities: Array | list[Array]  # row by row (n_labels,) float32; a matrix where all are as long
    share: float = 1.0  # of the rows in the log: less where only some were read, drawn evenly

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def kept(self) -> Array:
        """(n,) chance that the log kept each row: it stands for 1 / kept requests."""
        if "kept" not in self.rows:
            return np.ones(len(self))
        return self.rows["kept"].to_numpy(dtype=float)

    @property
    def padded(self) -> Array:
        """(n, n_labels) probabilities; a row of a model with fewer labels ends in zeros."""
        given = self.probabilities
        if isinstance(given, np.ndarray):
            return given
        whole = np.zeros((len(given), max((len(p) for p in given), default=0)), dtype=np.float32)
        for row, p in zip(whole, given, strict=True):
            row[: len(p)] = p
        return whole

    def even(self) -> Window:
        """Rows that look like all traffic: where the log always keeps some kinds, those thinned out."""
        even = evenly(self.rows["request_id"], self.kept)
        return self if even.all() else self.take(even)

    def take(self, keep: Array) -> Window:
        """The rows at these positions, or where this boolean mask is true."""
        where = np.flatnonzero(keep) if keep.dtype == bool else keep
        given = self.probabilities
        return replace(
            self,
            rows=self.rows.iloc[where].reset_index(drop=True),
            embeddings=self.embeddings[where],
            probabilities=given[where] if isinstance(given, np.ndarray) else [given[i] for i in where],
        )


def evenly(request_ids: Iterable[str], kept: Array) -> Array:
    """(n,) True for the rows that one uniform draw would have kept, whatever else was kept."""
    share = float(kept.min()) if len(kept) else 1.0
    if share >= 1:
        return np.ones(len(kept), dtype=bool)
    return np.array([log_place(r) < share for r in request_ids])
