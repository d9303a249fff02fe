"""A real stream as a model answered it, day by day, with the few labels that were picked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from bench.streams import Stream
from core.models.head import Head, fit_head
from core.records import Array, Window
from monitoring.estimates.answers import Answers, answers_of, joined
from pipelines.curation.margin import Margin
from pipelines.curation.pool import Pool

FIRST_SEED = 1000  # none that anything was tried out on


@dataclass(frozen=True)
class Run:
    """A served stream: what was seen of it, and what only the score may see."""

    answers: Answers  # (n,), `right` only where a label was drawn
    right: Array  # (n,) bool, of all
    day: Array  # (n,) from 0
    fresh: Array  # (n,) bool: of a label never seen before its day
    segment: Array  # (n,) str: the domain of the request, or which quarter of the users asked


def serve(stream: Stream, seed: int, refit: bool, labels: Margin) -> Run:
    """The stream answered day by day, by a frozen head or by one refitted each night on the picks."""
    head, parts, right = stream.head, [], []
    truth = stream.frame["truth"].to_numpy(dtype=str)
    embeddings, learnt = stream.training.embeddings, list(stream.training.labels)
    for day in range(stream.days):
        where = np.flatnonzero(stream.day == day)
        window = _answered(stream.window(day), head)
        tasks = labels.pick(Pool(window), 20, f"{seed}/{day}", window.end)
        place = {p: i for i, p in enumerate(window.rows["prediction_id"])}
        at = np.array([place[t.prediction_id] for t in tasks], dtype=int)
        audit = np.array([t.audit for t in tasks])
        window.rows.loc[at, "truth"] = truth[where[at]]
        window.rows.loc[at, "propensity"] = [t.propensity for t in tasks]
        window.rows.loc[at[audit], "audit"] = True
        parts.append(answers_of(window))
        right.append(window.rows["label"].to_numpy(dtype=str) == truth[where])
        if refit:
            embeddings = np.concatenate([embeddings, window.embeddings[at[~audit]]])
            learnt += truth[where[at[~audit]]].tolist()
            head = fit_head(embeddings, learnt, start=head)
    fresh = _fresh(stream, truth)
    return Run(joined(*parts), np.concatenate(right), stream.day, fresh, _segment(stream))


def _answered(window: Window, head: Head) -> Window:
    shares = head.probabilities(window.embeddings).astype(np.float16).astype(np.float32)
    label = np.array(head.labels, dtype=object)[shares.argmax(axis=1)]
    rows = window.rows.assign(label=label, score=shares.max(axis=1).astype(float))
    return replace(window, rows=rows, probabilities=shares)


def _fresh(stream: Stream, truth: Array) -> Array:
    first = dict.fromkeys(stream.training.labels.tolist(), -1)
    for label, day in zip(truth, stream.day, strict=True):
        first.setdefault(label, int(day))
    return np.asarray(np.array([first[t] for t in truth]) == stream.day)


def _segment(stream: Stream) -> Array:
    domain = stream.frame["domain"].to_numpy(dtype=str)
    quarter = stream.frame["user_key"].map(lambda key: str(crc32(key.encode()) % 4)).to_numpy(dtype=str)
    return np.asarray(np.where(domain == "", quarter, domain))
