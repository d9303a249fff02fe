"""The labelled streams without their texts: what a loop on stored embeddings needs of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.streams import read_stream
from core.arrays import Array


@dataclass(frozen=True, eq=False)
class Rows:
    """Labelled texts as embeddings (n, dim) float32 and labels (n,)."""

    embeddings: Array
    labels: Array

    def take(self, where: Array) -> Rows:
        return Rows(self.embeddings[where], self.labels[where])

    def __add__(self, other: Rows) -> Rows:
        return Rows(
            np.vstack([self.embeddings, other.embeddings]), np.append(self.labels, other.labels)
        )


@dataclass(frozen=True, eq=False)
class Stream:
    """Requests in time order, and the labelled rows that were there before them."""

    name: str
    times: Array  # (n,) datetime64[us]
    requests: Rows
    train: Rows
    evaluation: Rows

    def shuffled(self, seed: int, days: int = 14) -> Stream:
        """The same requests in another order: nothing drifts. The first `days` are the labelled rows,
        three quarters to train on and a quarter to evaluate, and the stream is what comes after."""
        rng = np.random.default_rng(seed)
        requests = self.requests.take(rng.permutation(len(self.times)))
        start = self.times[0].astype("datetime64[D]")
        first = int(np.searchsorted(self.times, start + np.timedelta64(days, "D")))
        cut = 3 * first // 4
        return replace(
            self,
            name=f"{self.name}, shuffled {seed}",
            times=self.times[first:],
            requests=requests.take(np.arange(first, len(requests.labels))),
            train=requests.take(np.arange(cut)),
            evaluation=requests.take(np.arange(cut, first)),
        )

    def days(self) -> list[tuple[datetime, Array]]:
        """The end of each day, and the positions of its requests."""
        day = self.times.astype("datetime64[D]")
        ends = [d.astype(datetime) for d in np.unique(day)]
        midnight = [datetime(d.year, d.month, d.day, tzinfo=UTC) + timedelta(days=1) for d in ends]
        return [(m, np.flatnonzero(day == d)) for m, d in zip(midnight, np.unique(day), strict=True)]


def load_stream(name: str, data: Path) -> Stream:
    """The stream `name` of bench.streams.FILES from the folder `data`."""
    read = read_stream(name, data)
    first, held = read.training, read.evaluation
    return Stream(
        name,
        read.frame["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[us]"),
        Rows(read.embeddings, read.frame["truth"].to_numpy(dtype=str)),
        Rows(first.embeddings, first.labels),
        Rows(held.embeddings, held.labels),
    )
