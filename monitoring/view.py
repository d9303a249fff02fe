"""What a signal looks at, and what is known about a signal before it has a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from core.records import Array, Signal, Window
from monitoring import Monitoring
from monitoring.drift import Held, History, Traffic, traffic
from monitoring.features import IncomparableError
from monitoring.rule import Rule

MIN_DAYS = 2  # of a reference
MAX_SEGMENTS = 10  # of each segment column, the largest first
Kind = Literal["quality", "drift", "confidence", "accuracy", "feedback", "proxy", "system"]


@dataclass(frozen=True)
class Spec:
    """A signal's name and how to read it. `words` says, with the signal's numbers, that it is bad.

    `bad` is the side of its baseline on which a value breaks it: "above", "below", or "whole" where
    the whole interval must lie below. A spec without it is for looking at, and never alarms.
    """

    name: str
    unit: str
    kind: Kind
    bad: Literal["above", "below", "whole"] | None = None
    words: str = ""


@dataclass(frozen=True)
class Model:
    """The model that serves now."""

    version: str
    labels: list[str]  # its own, in the order of its probabilities
    known: frozenset[str]  # every label that somebody who serves may answer
    encoder: str = ""
    classify: Callable[[Array], Array] | None = None  # (n, dim) embeddings -> (n, n_labels) shares


def no_feedback() -> pd.DataFrame:
    return pd.DataFrame({n: [] for n in ("prediction_id", "timestamp", "kind", "value", "source")})


@dataclass(frozen=True)
class View:
    """A window of traffic and what it is held against; the same again for one segment of it."""

    whole: Window  # every row that was kept
    whole_reference: Window
    model: Model
    settings: Monitoring
    reference_name: str = "sliding"
    labelled: Window | None = (
        None  # rows with a truth, longer back; None: those of window and reference
    )
    feedback: pd.DataFrame = field(default_factory=no_feedback)  # on the window's answers
    segment: str = ""  # "" is all traffic, else "column=value"
    seed: int = 0
    history: History | None = None  # of all traffic, where it is kept

    @cached_property
    def window(self) -> Window:
        """The rows that look like all traffic, where the log keeps some kinds more often."""
        return self.whole.even()

    @cached_property
    def reference(self) -> Window:
        return self.whole_reference.even()

    @cached_property
    def days(self) -> Array:
        """(m,) how many windows ago each reference row was answered; 1 is the one just before."""
        return windows_before(self.window, self.reference)

    def comparable(self, same: str) -> tuple[Window, Window] | str:
        """Window and reference as far as they agree in the column `same`, or why there is nothing."""
        settings, least = self.settings, MIN_DAYS * self.settings.min_rows
        if len(self.window) < settings.min_rows:
            return f"not enough rows: {len(self.window)}, {settings.min_rows} needed"
        if len(self.reference) < least:
            return f"not enough reference: {len(self.reference)} rows, {least} needed"
        kind = commonest(self.window.rows[same])
        both = [
            w.take((w.rows[same] == kind).to_numpy(dtype=bool)) for w in (self.window, self.reference)
        ]
        ours, theirs = both
        if len(ours) < settings.min_rows or len(theirs) < least:
            counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
            return f"not comparable: {same} {kind} is behind {counts}"
        days = len(np.unique(self.ages(theirs)))
        if days < MIN_DAYS and settings.reference != "training":
            needed = f"{MIN_DAYS} needed to know what is usual"
            return f"not enough reference: {days} window's worth, {needed}"
        return ours, theirs

    def ages(self, reference: Window) -> Array:
        """(m,) how many windows old each of these rows is. Training rows have no place in time: they
        are of one day of long ago."""
        if self.settings.reference == "training":
            return np.full(len(reference), 7 * 1000 + 1)
        return np.maximum(windows_before(self.window, reference), 1)

    @cached_property
    def traffic(self) -> Traffic | str:
        """What the embeddings say, or why they say nothing."""
        both, settings = self.comparable("encoder"), self.settings
        if isinstance(both, str):
            return both
        rule = Rule(settings.drift_sd, settings.embedding_shift)
        held = Held(rule, float(settings.reference_days), alone=settings.reference != "sliding")
        try:
            return traffic(*both, self.ages(both[1]), held, self.history)
        except IncomparableError as why:
            return f"not comparable: {why}"

    def signal(
        self,
        spec: Spec,
        value: float | None,
        note: str = "",
        *,
        baseline: float | None = None,
        low: float | None = None,
        high: float | None = None,
        held: bool = True,
    ) -> Signal:
        """A value of None is not enough to say, and `note` says why. `held`: against the reference."""
        return Signal(
            spec.name,
            self.whole.start,
            self.whole.end,
            value,
            spec.unit,
            baseline=baseline,
            low=low,
            high=high,
            segment=self.segment,
            note=note,
            reference=self.reference_name if held else "",
        )

    def segments(self) -> Iterator[View]:
        """The largest segments of the window that have rows enough to say something."""
        for column in [str(c) for c in self.window.rows if str(c).startswith("segment.")]:
            sizes = Counter(str(v) for v in self.window.rows[column] if v)
            for value, rows in sizes.most_common(MAX_SEGMENTS):
                if rows >= self.settings.min_rows:
                    yield self._only(column, value)

    def _only(self, column: str, value: str) -> View:
        def some(window: Window) -> Window:
            if column not in window.rows:
                return window.take(np.zeros(len(window), dtype=bool))
            return window.take((window.rows[column] == value).to_numpy(dtype=bool))

        window = some(self.whole)
        told = self.feedback["prediction_id"].isin(window.rows["prediction_id"])
        return replace(
            self,
            whole=window,
            whole_reference=some(self.whole_reference),
            labelled=some(self.labelled) if self.labelled is not None else None,
            feedback=self.feedback[told],
            segment=f"{column.removeprefix('segment.')}={value}",
            history=None,
        )


class Measure(Protocol):
    """One file of monitoring/signals: what it says of a view. It never raises: what cannot be said
    is a signal without a value, whose note says why."""

    def __call__(self, view: View) -> Iterator[Signal]: ...


def windows_before(window: Window, reference: Window) -> Array:
    """(m,) how many windows before this one a reference row was answered: 1 is the one just before."""
    if len(reference) == 0 or "timestamp" not in reference.rows:
        return np.zeros(0, dtype=int)
    length = max(window.end - window.start, timedelta(hours=1))
    before = pd.Timestamp(window.start) - pd.to_datetime(reference.rows["timestamp"], utc=True)
    return np.asarray(np.ceil(before.to_numpy() / np.timedelta64(length)), dtype=int)


def commonest(values: pd.Series) -> str:
    """Of two equally common values, the last seen."""
    counts = Counter(str(v) for v in values)
    return max(reversed(list(counts)), key=counts.__getitem__)
