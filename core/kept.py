"""What the prediction log keeps of a group of answers: rows, or only counts that name nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from core.arrays import Array
from core.records.answers import Prediction, Variant

SCORE_BINS = 20  # equal parts of 0..1
LENGTH_BINS = 21  # bin b holds texts of 2^(b-1) to 2^b - 1 characters
MOST_VALUES = 20  # of a segment; all others are counted as OTHER
MOST_SEGMENTS = 10
OTHER = "(other)"
Counts = dict[str, int]
Key = tuple[datetime, str, Variant, str]  # hour, model version, variant, encoder


@dataclass(frozen=True)
class Profile:
    """Counts and sums of the answers one model gave in one hour. Two of them add up to one."""

    hour: datetime
    model_version: str
    variant: Variant
    encoder: str
    rows: int
    labels: Counts
    scores: Array  # (SCORE_BINS,) rows by confidence
    lengths: Array  # (LENGTH_BINS,) rows by log2 of the text's length
    segments: dict[str, Counts]
    sums: Array  # (dim,) float64, of the embeddings; (0,) where rows have none
    squares: Array

    @property
    def key(self) -> Key:
        return self.hour, self.model_version, self.variant, self.encoder

    def __add__(self, other: Profile) -> Profile:
        """Both together. Raises ValueError when they are not of the same hour and model."""
        if self.key != other.key:
            raise ValueError(f"cannot add {other.key} to {self.key}")
        names = bounded([*self.segments, *other.segments], MOST_SEGMENTS)
        return Profile(
            *self.key,
            self.rows + other.rows,
            added(self.labels, other.labels),
            self.scores + other.scores,
            self.lengths + other.lengths,
            {
                n: fold(added(self.segments.get(n, {}), other.segments.get(n, {})), MOST_VALUES)
                for n in names
            },
            _sum(self.sums, other.sums),
            _sum(self.squares, other.squares),
        )


@dataclass(frozen=True)
class Kept:
    """What is stored of a group of answers, in one transaction."""

    rows: Sequence[Prediction]
    texts: int  # requests answered, kept or not
    profiles: Sequence[Profile] = field(default=())
    passes: int = 0  # texts the encoder read for them
    number: int = 0  # the group's place among those of its writer, from 1; 0 where nobody counts


def added(a: Counts, b: Counts) -> Counts:
    return dict(Counter(a) + Counter(b))


def bounded(names: Iterable[str], most: int) -> list[str]:
    """The first `most` different names, as they were seen."""
    return list(dict.fromkeys(names))[:most]


def fold(counts: Counts, most: int) -> Counts:
    """At most `most` names, the first ones seen; all others together are OTHER.

    >>> fold({"a": 1, "b": 2, "c": 3}, 2)
    {'a': 1, 'b': 2, '(other)': 3}
    """
    named = [n for n in counts if n != OTHER]
    rest = sum(counts[n] for n in named[most:]) + counts.get(OTHER, 0)
    found = {n: counts[n] for n in named[:most]}
    return found | ({OTHER: rest} if rest else {})


def _sum(a: Array, b: Array) -> Array:
    """The sum; an empty one counts as nothing."""
    return np.asarray(a + b) if len(a) == len(b) else (a if len(a) > len(b) else b)


def merged(profiles: Iterable[Profile]) -> list[Profile]:
    """One profile of each hour, version, variant and encoder, in that order."""
    found: dict[Key, Profile] = {}
    for profile in profiles:
        before = found.get(profile.key)
        found[profile.key] = before + profile if before else profile
    return [found[key] for key in sorted(found)]
