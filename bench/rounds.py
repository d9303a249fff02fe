"""A stream served day by day by a head that learns from the labels somebody chooses.

outcome = serve(stream, Ours(policy), seed=0)
outcome.accuracy, outcome.labels
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import numpy as np

from bench.streams import DAY, Labelled, Stream
from core.arrays import Array
from core.models.classifier.head import Head, fit_head
from core.records.windows import Window


@dataclass(frozen=True, eq=False)
class Day:
    """What may be known at the end of a day. No truth but that of rows labelled before."""

    end: datetime
    window: Window  # as the serving head answered
    head: Head
    known: Labelled  # what the head learnt from
    held_out: Labelled  # what evaluates: the first evaluation set, and the audit rows
    seed: int


@dataclass(frozen=True, eq=False)
class Picked:
    """Positions in the day's window."""

    train: Array
    audit: Array


class Chooser(Protocol):
    def choose(self, day: Day, /) -> Picked: ...


@dataclass(frozen=True)
class Outcome:
    right: Array  # (n,) each request, as it was answered
    labels: Sequence[int]  # of each day

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def serve(stream: Stream, chooser: Chooser, seed: int = 0) -> Outcome:
    """All days of a stream. The head is fitted again at the end of every day that brought labels."""
    truth = stream.frame["truth"].to_numpy(dtype=str)
    known, held_out, head = stream.training, stream.evaluation, stream.head
    right, labels = np.zeros(len(truth), dtype=bool), []
    for number in range(stream.days):
        where = np.flatnonzero(stream.day == number)
        window = _answered(stream, head, where, number)
        right[where] = window.rows["output"].to_numpy(dtype=str) == truth[where]
        day = Day(stream.start + (number + 1) * DAY, window, head, known, held_out, seed)
        picked = chooser.choose(day)
        labels.append(len(picked.train) + len(picked.audit))
        held_out = held_out.more(stream, where[picked.audit])
        if len(picked.train):
            known = known.more(stream, where[picked.train])
            head = fit_head(known.embeddings, known.labels.tolist(), start=head)
    return Outcome(right, labels)


def frozen(stream: Stream) -> float:
    return float(stream.right.mean())


class Everything:
    """Labels for all, none held back."""

    def choose(self, day: Day) -> Picked:
        return Picked(np.arange(len(day.window)), np.array([], dtype=int))


def _answered(stream: Stream, head: Head, where: Array, number: int) -> Window:
    shares = np.zeros((len(stream.frame), len(head.labels)), dtype=np.float32)
    shares[where] = head.probabilities(stream.embeddings[where])
    return replace(stream, head=head, probabilities=shares).window(number)
