"""A real stream as a model answered it, day by day, with the labels that the shipped strategy picks.

Its curation, its pacing, and its 72 new labels a retrain; a new head answers from the next day on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import pandas as pd

from bench.choosers import Ours
from bench.rounds import Day
from bench.streams import DAY, Stream
from core.arrays import Array
from core.models.classifier.head import Head, fit_head
from core.params import load
from core.records.labels import AnnotationTask
from core.records.windows import Window
from everloop.init import TEMPLATES
from everloop.laws.windows import scored
from flows.strategy import Strategy

FIRST_SEED = 1000  # none that anything was tried out on
SHIPPED = load(TEMPLATES / "params.yaml", Strategy)
RETRAIN_AT = 72  # new labels, as the trigger `labels` of the shipped strategy
UNSEEN = {"truth": None, "score": np.nan, "audit": False, "propensity": np.nan}


@dataclass(frozen=True, eq=False)
class Run:
    """A served stream: what was seen of it, and what only the score may see."""

    answers: Window  # (n,) of all days, with the labels that were picked
    right: Array  # (n,) bool, of all
    day: Array  # (n,) from 0

    def until(self, day: int, length: int) -> Window:
        """The last `length` days as they are known at the end of one: its own labels come later."""
        found = self.answers.take(self.last(day, length))
        unknown = self.day[self.last(day, length)] == day
        for column, value in UNSEEN.items():
            found.rows.loc[unknown, column] = value
        return found

    def last(self, day: int, length: int) -> Array:
        """(n,) bool: answers of the last `length` days."""
        return np.asarray((self.day > day - length) & (self.day <= day))


def serve(stream: Stream, seed: int, refit: bool) -> Run:
    """The stream answered by a frozen head, or by one that is refitted on the picks."""
    chooser, days, right = Ours(SHIPPED.curation), [], []
    truth, segment = stream.frame["truth"].to_numpy(dtype=str), _segment(stream)
    head, known, held, fresh, version = stream.head, stream.training, stream.evaluation, 0, 1
    for day in range(stream.days):
        where = np.flatnonzero(stream.day == day)
        window = _answered(stream.window(day), head, version, segment[where])
        seen = Day(stream.start + (day + 1) * DAY, window, head, known, held, seed)
        at, audit = _label(window, chooser.tasks(seen), truth[where])
        days.append(window)
        right.append(window.rows["output"].to_numpy(dtype=str) == truth[where])
        known, held = known.more(stream, where[at[~audit]]), held.more(stream, where[at[audit]])
        fresh += int((~audit).sum())
        if refit and fresh >= RETRAIN_AT:
            head = fit_head(known.embeddings, known.labels.tolist(), start=head)
            fresh, version = 0, version + 1
    return Run(joined(days), np.concatenate(right), stream.day)


def joined(windows: list[Window]) -> Window:
    """Windows, one after the other, as one. A label that a head did not know yet had no chance."""
    rows = pd.concat([w.rows.astype({"truth": object}) for w in windows], ignore_index=True)
    embeddings = np.concatenate([w.embeddings for w in windows])
    matrices = [np.asarray(w.probabilities) for w in windows]
    width = max(m.shape[1] for m in matrices)
    shares = np.concatenate([np.pad(m, ((0, 0), (0, width - m.shape[1]))) for m in matrices])
    return Window(windows[0].start, windows[-1].end, rows, embeddings, shares)


def _label(window: Window, tasks: list[AnnotationTask], truth: Array) -> tuple[Array, Array]:
    """Write what was picked into a day; the positions of it, and which are audit."""
    place = {p: i for i, p in enumerate(window.rows["prediction_id"])}
    at = np.array([place[t.prediction_id] for t in tasks], dtype=int)
    audit = np.array([t.audit for t in tasks], dtype=bool)
    window.rows.loc[at, "truth"] = truth[at]
    window.rows.loc[at, "propensity"] = [t.propensity for t in tasks]
    window.rows.loc[at[audit], "audit"] = True
    window.rows["score"] = scored(window.rows)["score"]
    return at, audit


def _answered(window: Window, head: Head, version: int, segment: Array) -> Window:
    shares = head.probabilities(window.embeddings).astype(np.float16).astype(np.float32)
    label = np.array(head.labels, dtype=object)[shares.argmax(axis=1)]
    columns = {"confidence": shares.max(axis=1).astype(float), "model_version": str(version)}
    rows = window.rows.assign(output=label, **columns, **{"segment.part": segment})
    return replace(window, rows=rows, probabilities=shares)


def _segment(stream: Stream) -> Array:
    """(n,) the domain of a request, or which quarter of the users asked."""
    domain = stream.frame["domain"].to_numpy(dtype=str)
    quarter = stream.frame["user_key"].map(lambda key: str(crc32(key.encode()) % 4)).to_numpy(dtype=str)
    return np.asarray(np.where(domain == "", quarter, domain))
