"""What a signal looks at, and what is known about a signal before it has a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from core.arrays import Array, Frame, Series
from core.records.signals import Signal, SystemSample
from core.records.windows import Window
from core.tasks import Classification, Task
from monitoring import Monitoring
from monitoring.accuracy.feedback import feedback_by_answer
from monitoring.drift.embeddings import EmbeddingDrift, History, embedding_drift
from monitoring.drift.features import IncomparableError
from monitoring.drift.threshold import Threshold
from monitoring.drift.types import DriftSettings
from monitoring.hooks import scores
from monitoring.limits import EMBEDDING_SHIFT, MAX_CHARACTERS, MIN_ROWS
from monitoring.quality.checks import Check, check
from monitoring.quality.outputs import written
from monitoring.quality.sample import described

MIN_DAYS = 2  # of a reference
MAX_SEGMENTS = 10  # of each segment column, the largest first
Kind = Literal["quality", "drift", "confidence", "accuracy", "feedback", "proxy", "system", "concept"]


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
    tasks: tuple[str, ...] = ()  # that have it; every one where none is named
    held: bool = True  # against the reference


@dataclass(frozen=True)
class ServedModel:
    """The model that serves now."""

    version: str
    labels: list[str]  # its own, in the order of its probabilities; none where it writes its answers
    known: frozenset[str] | None  # every label that somebody who serves may answer; None: any text
    encoder: str = ""
    classify: Callable[[Array], Array] | None = None  # (n, dim) embeddings -> (n, n_labels) shares
    unknown: Callable[[Sequence[str]], Array] | None = None  # texts -> (n,) shares of their tokens
    embed: Callable[[list[str]], Array] | None = None  # texts -> (n, dim)
    surprise: Callable[[Window], Array] | None = None  # rows -> (n,) nats a token of the right answers


@dataclass(frozen=True, eq=False)
class Collected:
    """A named collection of texts, and what the model that serves answers to them."""

    name: str
    right: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))  # (n,)
    strange: int = 0  # rows with a label that the model does not know
    fault: str = ""  # why there are no answers


def no_feedback() -> Frame:
    import pandas as pd

    names = ["prediction_id", "timestamp", "kind", "value", "source"]
    return pd.DataFrame(columns=names, dtype=object)


@dataclass(frozen=True)
class View:
    """A window of traffic and what it is held against; the same again for one segment of it."""

    whole: Window  # every row that was kept
    whole_reference: Window
    model: ServedModel
    settings: Monitoring
    reference_name: str = "sliding"
    # rows with a truth, longer back; None: those of window and reference
    labelled: Window | None = None
    recent: Window | None = None  # an even draw of the days that accuracy is estimated over
    feedback: Frame = field(default_factory=no_feedback)  # on answers of window and reference
    segment: str = ""  # "" is all traffic, else "column=value"
    seed: int = 0
    system: Sequence[SystemSample] = ()  # what servers said of themselves in the window's time
    collections: Sequence[Collected] = ()  # of hard examples
    parent: View | None = None  # all traffic, where this is a segment of it
    where: tuple[str, str] = ("", "")  # the segment's column and its value in it
    history: History | None = None  # of all traffic, where it is kept
    task: Task = field(default_factory=Classification)

    @cached_property
    def window(self) -> Window:
        """The rows that look like all traffic, where the log keeps some kinds more often."""
        return self.whole.even()

    @cached_property
    def reference(self) -> Window:
        return self.whole_reference.even()

    @cached_property
    def sample(self) -> tuple[Window, Window]:
        """Some rows of window and reference with what is known of each; see quality/sample.py."""
        if self.parent is None:
            return described(self.window, self.reference, self.labelled, self.model.unknown)
        ours, theirs = (_only_where(sample, *self.where) for sample in self.parent.sample)
        return ours, theirs

    @cached_property
    def outputs(self) -> tuple[Window, Window]:
        """Finished answers of both, with what is known of each; see quality/outputs.py."""
        if self.parent is None:
            window, reference = (
                each.take(self.task.finished(each.rows)) for each in (self.window, self.reference)
            )
            ours, theirs = written(window, reference, self.task.fault, self.model.embed)
            return ours, theirs
        ours, theirs = (_only_where(sample, *self.where) for sample in self.parent.outputs)
        return ours, theirs

    @cached_property
    def toxicity(self) -> tuple[Array, Array, str]:
        """How toxic each row of `outputs` is, and why that is not known; see hooks.scores."""
        if self.parent is None:
            return scores(self.settings.toxicity, *(w.rows["output"].tolist() for w in self.outputs))
        ours, theirs, fault = self.parent.toxicity
        mine = [having(w, *self.where) for w in self.parent.outputs]
        return ours[mine[0]], theirs[mine[1]], fault

    @cached_property
    def checks(self) -> list[Check]:
        """The data quality of all traffic, whatever the segment: checked once."""
        if self.parent is not None:
            return self.parent.checks
        settings = self.settings
        return check(self.window, self.model.known, MAX_CHARACTERS, settings.expectations)

    @cached_property
    def feedback_by_answer(self) -> tuple[Frame, Frame]:
        """What users said of window and reference, see accuracy/feedback.py. Late words count for no
        day: each answer is judged by what was said until its own window's end, or the newest window,
        which had least time, would always look best."""
        if self.parent is not None:
            ours, theirs = self.parent.feedback_by_answer
            return ours[self._mine(self.parent.whole)], theirs[self._mine(self.parent.whole_reference)]
        length = np.timedelta64(self.whole.end - self.whole.start)
        end = np.datetime64(self.whole.end.astimezone(UTC).replace(tzinfo=None))
        late = end - windows_before(self.whole, self.whole_reference) * length
        ours = feedback_by_answer(self.whole, self.feedback, np.full(len(self.whole), end), self.task)
        return ours, feedback_by_answer(self.whole_reference, self.feedback, late, self.task)

    def _mine(self, window: Window) -> Array:
        """(n,) which of all rows are this segment's."""
        return having(window, *self.where)

    @cached_property
    def reference_ages(self) -> Array:
        """(m,) how many windows ago each reference row was answered; 1 is the one just before."""
        return windows_before(self.window, self.reference)

    def comparable(self, same: str) -> tuple[Window, Window]:
        """Window and reference as far as they agree in the column `same`. Raises IncomparableError."""
        settings, least = self.settings, MIN_DAYS * MIN_ROWS
        if len(self.window) < MIN_ROWS:
            raise IncomparableError(f"not enough rows: {len(self.window)}, {MIN_ROWS} needed")
        if len(self.reference) < least:
            found = len(self.reference)
            raise IncomparableError(f"not enough reference: {found} rows, {least} needed")
        kind = commonest(self.window.rows[same])
        ours, theirs = (_only_where(w, same, kind) for w in (self.window, self.reference))
        if len(ours) < MIN_ROWS or len(theirs) < least:
            counts = f"{len(ours)} rows of the window and {len(theirs)} of the reference"
            raise IncomparableError(f"not comparable: {same} {kind} is behind {counts}")
        days = len(np.unique(self.ages(theirs)))
        if days < MIN_DAYS and settings.reference != "training":
            needed = f"{MIN_DAYS} needed to know what is usual"
            raise IncomparableError(f"not enough reference: {days} window's worth, {needed}")
        return ours, theirs

    def ages(self, reference: Window) -> Array:
        """(m,) how many windows old each of these rows is. Training rows have no place in time: they
        are of one day of long ago."""
        if self.settings.reference == "training":
            return np.full(len(reference), 7 * 1000 + 1)
        whole = reference is self.reference
        return np.maximum(self.reference_ages if whole else windows_before(self.window, reference), 1)

    @cached_property
    def embedding_drift(self) -> EmbeddingDrift | str:
        """What the embeddings say, or why they say nothing."""
        settings = self.settings
        rule = Threshold(settings.drift_sd, EMBEDDING_SHIFT)
        how = DriftSettings(rule, float(settings.reference_days), alone=settings.reference != "sliding")
        try:
            ours, theirs = self.comparable("encoder")
            return embedding_drift(ours, theirs, self.ages(theirs), how, self.history)
        except IncomparableError as why:
            return str(why)

    def signal(
        self,
        spec: Spec,
        value: float | None,
        note: str = "",
        *,
        baseline: float | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> Signal:
        """A value of None is not enough to say, and `note` says why."""
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
            reference=self.reference_name if spec.held else "",
        )

    def segments(self) -> Iterator[View]:
        """The largest segments of the window that have rows enough to say something."""
        for column in [str(c) for c in self.window.rows if str(c).startswith("segment.")]:
            sizes = self.window.rows[column].value_counts(sort=False)  # in the order they are seen
            largest = sizes[sizes.index != ""].sort_values(ascending=False, kind="stable")
            for value, rows in largest.head(MAX_SEGMENTS).items():
                if rows >= MIN_ROWS:
                    yield self._only(column, str(value))

    def _only(self, column: str, value: str) -> View:
        return replace(
            self,
            whole=_only_where(self.whole, column, value),
            whole_reference=_only_where(self.whole_reference, column, value),
            labelled=_only_where(self.labelled, column, value) if self.labelled is not None else None,
            recent=_only_where(self.recent, column, value) if self.recent is not None else None,
            segment=f"{column.removeprefix('segment.')}={value}",
            parent=self,
            where=(column, value),
            history=None,
        )


class Measure(Protocol):
    """One file of monitoring/signals: what it says of a view. It never raises: what cannot be said
    is a signal without a value, whose note says why."""

    def __call__(self, view: View) -> Iterator[Signal]: ...


def having(window: Window, column: str, value: str) -> Array:
    """(n,) which rows have this value."""
    if column not in window.rows:
        return np.zeros(len(window), dtype=bool)
    return (window.rows[column] == value).to_numpy(dtype=bool)


def _only_where(window: Window, column: str, value: str) -> Window:
    """The rows with this value; the window itself where all have it, as is usual."""
    those = having(window, column, value)
    return window if those.all() else window.take(those)


def windows_before(window: Window, reference: Window) -> Array:
    """(m,) how many windows before this one a reference row was answered: 1 is the one just before."""
    import pandas as pd

    if len(reference) == 0:
        return np.zeros(0, dtype=int)
    length = max(window.end - window.start, timedelta(hours=1)) // timedelta(microseconds=1)
    given = pd.to_datetime(reference.rows["timestamp"], utc=True, cache=False)
    times = given.to_numpy("datetime64[us]").astype(np.int64)
    start = int(np.datetime64(pd.Timestamp(window.start).tz_convert(None), "us").astype(np.int64))
    return np.asarray(-((times - start) // length), dtype=int)


def commonest(values: Series) -> str:
    """Of two equally common values, the last seen."""
    counts = values.iloc[::-1].value_counts(sort=False, dropna=False)
    return str(counts.idxmax())
