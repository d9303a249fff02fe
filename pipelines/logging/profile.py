"""`profile`: counts and sums only, for people who may not keep a text.

An hour's counts name nobody when many asked in it; the sums of an hour with one request are that
request's embedding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import ClassVar, Literal

import numpy as np

from core.arrays import Array
from core.kept import (
    LENGTH_BINS,
    MOST_SEGMENTS,
    MOST_VALUES,
    SCORE_BINS,
    Counts,
    Key,
    Profile,
    bounded,
    fold,
)
from core.records.answers import Prediction
from pipelines.logging.log_policy import Logging


class Profiled(Logging):
    """Keep no text and no user: counts of every hour, model version and variant."""

    whole: ClassVar[bool] = False
    texts: ClassVar[bool] = False

    policy: Literal["profile"]

    def choose(self, rows: list[Prediction]) -> list[Prediction]:  # noqa: ARG002  none is kept
        return []

    def count(self, rows: list[Prediction]) -> list[Profile]:
        groups: dict[Key, list[Prediction]] = defaultdict(list)
        for p in rows:
            hour = p.timestamp.replace(minute=0, second=0, microsecond=0)
            groups[hour, p.model_version, p.variant, p.encoder].append(p)
        return [_profile(key, group) for key, group in groups.items()]


def _profile(key: Key, rows: list[Prediction]) -> Profile:
    embeddings = [p.embedding for p in rows if p.embedding is not None]
    together = np.array(embeddings, dtype=np.float64) if embeddings else np.zeros((0, 0))
    return Profile(
        *key,
        rows=len(rows),
        labels=dict(Counter(p.detail.counted(p.output) for p in rows)),
        scores=_bins([int(p.confidence * SCORE_BINS) for p in rows], SCORE_BINS),
        lengths=_bins([len(p.text).bit_length() for p in rows], LENGTH_BINS),
        segments=_segments(rows),
        sums=together.sum(axis=0),
        squares=(together**2).sum(axis=0),
    )


def _bins(places: list[int], bins: int) -> Array:
    return np.bincount(np.minimum(places, bins - 1), minlength=bins)


def _segments(rows: list[Prediction]) -> dict[str, Counts]:
    names = bounded((n for p in rows for n in p.segments), MOST_SEGMENTS)
    return {
        n: fold(dict(Counter(p.segments[n] for p in rows if n in p.segments)), MOST_VALUES)
        for n in names
    }
