"""The labelled streams and their embeddings, read once by the default encoder, kept in bench/out."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from core.models.encoder import load_encoder
from core.records import Array
from flows.strategy import Model

OUT = Path(__file__).parent / "out"
FILES = {"clinc": "clinc_stream", "banking77": "banking77_stationary_stream"}


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
    """The stream `name` of FILES from the folder `data`."""
    kept = OUT / f"labelled-{name}.npz"
    if not kept.exists():
        OUT.mkdir(exist_ok=True)
        np.savez(kept, **_read(name, data))
    with np.load(kept) as a:
        return Stream(
            name,
            a["time"],
            Rows(a["embedding"], a["label"]),
            Rows(a["train_embedding"], a["train_label"]),
            Rows(a["eval_embedding"], a["eval_label"]),
        )


def _read(name: str, data: Path) -> dict[str, Any]:
    encoder = load_encoder(str(Model.model_fields["encoder"].default))
    made: dict[str, Any] = {}
    files = {"": FILES[name], "train_": f"{name}_initial_train", "eval_": f"{name}_initial_eval"}
    for before, file in files.items():
        with (data / f"{file}.csv").open(encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source))
        made[f"{before}label"] = np.array([r["label"] for r in rows])
        made[f"{before}embedding"] = encoder.encode([r["text"] for r in rows]).astype(np.float32)
        if not before:
            made["time"] = np.array([r["timestamp"] for r in rows], dtype="datetime64[us]")
    return made
