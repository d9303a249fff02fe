"""What an estimate of accuracy has to know of answers."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from core.arrays import Array, Series
from core.near import unit
from core.records.windows import Window


@dataclass(frozen=True)
class ScoredAnswers:
    """Answers as they were given, in time order: nothing here changes when a model learns."""

    days: Array  # (n,) when, in days since 1970
    shares: Array  # (n, 2) probability of the answer, and of the next best label
    embeddings: Array  # (n, dim) of length 1; all zero where the newest row's encoder made none
    right: Array  # (n,) score of the answer, 0..1, NaN without a label
    chance: Array  # (n,) that the row was kept and picked, NaN where it was not picked
    audit: Array  # (n,) bool: drawn evenly
    version: Array  # (n,) str: which model gave it

    def __len__(self) -> int:
        return len(self.days)

    @property
    def drawn(self) -> Array:
        """(n,) bool: those with a label that they were picked for, with a known chance."""
        return np.asarray((self.chance > 0) & (self.chance <= 1) & np.isfinite(self.right))

    def take(self, keep: Array) -> ScoredAnswers:
        return ScoredAnswers(*(getattr(self, f.name)[keep] for f in fields(self)))


def answers_of(window: Window) -> ScoredAnswers:
    """The rows of a window that have a score, in time order."""
    scored = np.flatnonzero(np.isfinite(window.rows["confidence"].to_numpy(dtype=float)))
    times = window.rows["timestamp"].to_numpy()[scored]
    window = window.take(scored[np.argsort(times, kind="stable")])
    rows = window.rows
    return ScoredAnswers(
        days=_as_days(rows["timestamp"]),
        shares=_shares(window),
        embeddings=_unit(window),
        right=rows["score"].to_numpy(dtype=float),
        chance=rows["propensity"].to_numpy(dtype=float),
        audit=rows["audit"].to_numpy(dtype=bool),
        version=rows["model_version"].to_numpy(dtype=str),
    )


def joined(*parts: ScoredAnswers) -> ScoredAnswers:
    """The same rows as one. Embeddings of another size than the last part's say nothing any more."""
    dim = parts[-1].embeddings.shape[1]
    blank = [
        p
        if p.embeddings.shape[1] == dim
        else replace(p, embeddings=np.zeros((len(p), dim), np.float32))
        for p in parts
    ]
    return ScoredAnswers(
        *(np.concatenate([getattr(p, f.name) for p in blank]) for f in fields(ScoredAnswers))
    )


def _as_days(times: Series) -> Array:
    import pandas as pd

    since = pd.to_datetime(times, utc=True, cache=False) - pd.Timestamp(0, tz="UTC")
    return np.asarray(since / pd.Timedelta(days=1), dtype=float)


def _shares(window: Window) -> Array:
    """A row whose probabilities do not hold its score has the rest of it as next best."""
    score = np.clip(window.rows["confidence"].to_numpy(dtype=float), 0.0, 1.0)
    second = 1 - score
    given = window.probabilities
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] > 1:
        second = np.partition(given, -2, axis=1)[:, -2].astype(float)
    else:
        for i, p in enumerate(given):
            if len(p) > 1:
                second[i] = np.partition(p, len(p) - 2)[-2]
    return np.column_stack([score, np.clip(np.nan_to_num(second), 0.0, score)])


def _unit(window: Window) -> Array:
    """Rows of length 1; zeros where they are not of the newest row's encoder."""
    if not len(window):
        return window.embeddings.astype(np.float32)
    encoders = window.rows["encoder"].to_numpy()
    return np.asarray(unit(window.embeddings.astype(np.float32)) * (encoders == encoders[-1])[:, None])
