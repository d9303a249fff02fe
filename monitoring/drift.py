"""Is this window other traffic than its reference? What its embeddings say, as a story of days.

unbiased MMD^2 (Gretton et al. 2012, eq. 3) with an RBF kernel on whitened embeddings, approximated by random
Fourier features (Rahimi & Recht 2007): linear in the window's rows, and past days are sketches of 2 kB each,
so months cost nothing to look back over. See monitoring/sketches.py for the distance, monitoring/rule.py for
when it counts, monitoring/kinds.py for the story.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from core.records import Array, Sketch, Window
from monitoring.features import FeatureMap, IncomparableError, check_finite, feature_map
from monitoring.kinds import Story, story
from monitoring.rule import Rule
from monitoring.sketches import Days, sketch

MIN_DAY_ROWS = 10
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class History:
    """Sketches of the traffic before a window, and the map they were made with."""

    features: FeatureMap
    past: Sequence[Sketch] = ()


@dataclass(frozen=True, eq=False)
class Traffic:
    """What the embeddings of a window say, and the sketches that were made on the way."""

    story: Story
    features: FeatureMap
    fresh: tuple[Sketch, ...]  # of reference days without one, then of the window

    @property
    def window(self) -> Sketch:
        return self.fresh[-1]


def traffic(
    window: Window,
    reference: Window,
    ages: Array,
    rule: Rule,
    history: History | None = None,
    sliding: int | None = 7,
) -> Traffic:
    """Hold a window against its reference, whose rows are `ages` (m,) windows old, and its history.

    `sliding`: days just before that are usual, where anything seen before may be usual too; None where
    the reference is all that the window is to be held against. Raises IncomparableError.
    """
    _check(window, reference, history)
    encoder = str(window.rows["encoder"].iloc[0])
    features = history.features if history else feature_map(reference.embeddings, encoder)
    past = _apart(history.past if history else (), window.start)
    length = window.end - window.start
    fresh: list[Sketch] = []
    at: list[datetime] = []  # the middle of each reference day
    for age in np.unique(ages):
        rows = reference.embeddings[ages == age]
        start = max(window.start - int(age) * length, LONG_AGO)
        at.append(start + length / 2)
        if len(rows) >= MIN_DAY_ROWS and not any(s.start <= at[-1] < s.end for s in past):
            fresh.append(sketch(rows, features, start, start + length, "the reference"))
    today = sketch(window.embeddings, features, window.start, window.end, "the window")
    days = Days([*sorted([*past, *fresh], key=lambda s: s.end), today])
    usual = np.array([any(s.start <= t < s.end for t in at) for s in days.sketches])
    usual[-1] = False
    told = story(days, rule, float(sliding or 7), usual, alone=sliding is None)
    return Traffic(told, features, (*fresh, today))


def _check(window: Window, reference: Window, history: History | None) -> None:
    ours, theirs = window.embeddings.shape[1], reference.embeddings.shape[1]
    if ours != theirs:
        raise IncomparableError(f"{ours} dimensions in the window, {theirs} in the reference")
    if history and len(history.features.centre) != ours:
        known = len(history.features.centre)
        raise IncomparableError(f"{ours} dimensions in the window, {known} in its history")
    check_finite(window.embeddings, "the window")
    check_finite(reference.embeddings, "the reference")


def _apart(past: Iterable[Sketch], start: datetime) -> list[Sketch]:
    """The newest of the sketches that end by `start`, without any that overlap, oldest first."""
    found: list[Sketch] = []
    for one in sorted(past, key=lambda s: s.end, reverse=True):
        if one.end <= (found[-1].start if found else start) and one.rows >= MIN_DAY_ROWS:
            found.append(one)
    return found[::-1]
