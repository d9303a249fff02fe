"""The real streams, day by day, as monitoring would find them in the store: a frozen model answered.

The texts are read once by the default encoder; the embeddings lie in bench/out, named by what was read.

    stream = read_stream("clinc", Path("../shared/data"))
    stream.window(12)            # day 12 as a Window; days count from 0
    shuffled(stream, seed=0)     # the same texts in another order over the same times: no drift
    weekly(stream, seed=0)       # no drift, but what comes on weekends comes on weekends
    read_events(data)            # what was planned when: for scoring a detector, never for its input
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from core.arrays import Array
from core.ids import hash_user, uuid7
from core.models.classifier.encoder import DEFAULT, load_encoder
from core.models.classifier.head import Head, fit_head
from core.records.windows import Window
from monitoring import Monitoring
from monitoring.view import ServedModel, View

OUT = Path(__file__).parent / "out"
FILES = {"clinc": "clinc_stream", "banking77": "banking77_stationary_stream"}
VERSION = "1"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Labelled:
    """Rows that were there before the first request."""

    texts: Array  # (n,) str
    labels: Array  # (n,) str
    embeddings: Array  # (n, dim) float32

    def more(self, stream: Stream, where: Array) -> Labelled:
        """These and, with their true labels, some rows of a stream."""
        frame = stream.frame.iloc[where]
        return Labelled(
            np.append(self.texts, frame["text"].to_numpy(dtype=str)),
            np.append(self.labels, frame["truth"].to_numpy(dtype=str)),
            np.vstack([self.embeddings, stream.embeddings[where]]),
        )


@dataclass(frozen=True)
class Stream:
    """`frame` has one row a request in time order: request_id, timestamp (UTC), user_key, text, truth,
    domain ("" where the stream has none); the arrays have the same rows."""

    name: str
    frame: pd.DataFrame
    embeddings: Array  # (n, dim) float32, as the store gives them back
    probabilities: Array  # (n, n_labels) float32, of the frozen head
    head: Head
    encoder: str
    training: Labelled
    evaluation: Labelled
    source: Array  # (n,) which row of the stream that was read each row shows

    @property
    def base(self) -> str:
        """The stream that was read."""
        return self.name.split()[0]

    @property
    def start(self) -> datetime:
        """Midnight of the first day."""
        first: datetime = self.frame["timestamp"].iloc[0].floor("D").to_pydatetime()
        return first

    @property
    def day(self) -> Array:
        """(n,) the day of each request, from 0."""
        since = (self.frame["timestamp"] - pd.Timestamp(self.start)).to_numpy()
        found: Array = since // np.timedelta64(DAY)
        return found

    @property
    def days(self) -> int:
        return int(self.day[-1]) + 1

    @property
    def predicted(self) -> Array:
        """(n,) labels."""
        best: Array = self.probabilities.argmax(axis=1)
        return np.asarray(np.array(self.head.labels)[best])

    @property
    def right(self) -> Array:
        """(n,) whether the frozen model was right."""
        return np.asarray(self.predicted == self.frame["truth"].to_numpy(dtype=str))

    def window(self, first: int, until: int | None = None) -> Window:
        """Days [first, until), or the one day, as `store.answers.window` gives them without labels."""
        until = first + 1 if until is None else until
        day = self.day
        where = np.flatnonzero((day >= first) & (day < until))
        some, shares = self.frame.iloc[where], self.probabilities[where].astype(np.float16)
        times, ids = some["timestamp"].to_list(), some["request_id"].to_list()
        rows = pd.DataFrame(
            {
                "prediction_id": [uuid7(t, r, "champion") for t, r in zip(times, ids, strict=True)],
                "request_id": ids,
                "timestamp": times,
                "model_version": VERSION,
                "variant": "champion",
                "text": some["text"].to_list(),
                "output": self.predicted[where].astype(object),
                "confidence": shares.max(axis=1).astype(float) if len(where) else [],
                "encoder": self.encoder,
                "user_key": some["user_key"].to_list(),
                "truth": pd.Series([None] * len(where), dtype=object),
                "score": np.nan,
                "audit": False,
                "kept": 1.0,
                "propensity": np.nan,
            }
        )
        start, end = (self.start + DAY * n for n in (first, until))
        return Window(start, end, rows, self.embeddings[where], list(shares.astype(np.float32)))

    def model(self) -> ServedModel:
        """The frozen model, as monitoring sees it."""
        head = self.head
        return ServedModel(
            VERSION, head.labels, frozenset(head.labels), self.encoder, head.probabilities
        )

    def view(self, day: int, settings: Monitoring, fixed: int = 0) -> View:
        """A day beside the days before it, as a run of the monitoring stage at its end sees it; or
        beside the first `fixed` days."""
        first, until = (0, fixed) if fixed else (max(0, day - settings.reference_days), day)
        return View(self.window(day), self.window(first, until), self.model(), settings)


@dataclass(frozen=True)
class Event:
    """What begins on `start` and is over on `end` (days from 0; None: stays)."""

    kind: str  # instantaneous | gradual | periodic | temporary
    domain: str
    start: int | None
    end: int | None


def read_stream(name: str, data: Path) -> Stream:
    """One of FILES. Exits where its files are not in the folder `data`."""
    stream, train, evaluation = (
        _table(data / f"{n}.csv")
        for n in (FILES[name], f"{name}_initial_train", f"{name}_initial_eval")
    )
    embed = _Embedded([*stream.text, *train.text, *evaluation.text])
    training, held = (
        Labelled(t.text.to_numpy(str), t.label.to_numpy(str), embed(t.text.to_list()))
        for t in (train, evaluation)
    )
    head = fit_head(training.embeddings, training.labels.tolist())
    embeddings = embed(stream.text.to_list())
    frame = pd.DataFrame(
        {
            "request_id": stream.request_id,
            "timestamp": pd.to_datetime(stream.timestamp, utc=True),
            "user_key": [hash_user(u) for u in stream.user_id],
            "text": stream.text,
            "truth": stream.label,
            "domain": stream.get("domain", ""),
        }
    )
    shares = head.probabilities(embeddings)
    places = np.arange(len(frame))
    return Stream(name, frame, embeddings, shares, head, embed.encoder.identity, training, held, places)


def shuffled(stream: Stream, seed: int) -> Stream:
    """The same requests in a random order over the same times: as many an hour, and no drift at all."""
    order = np.random.default_rng(seed).permutation(len(stream.frame))
    return _filled(stream, f"{stream.name} shuffled {seed}", np.arange(len(order)), order)


def weekly(stream: Stream, seed: int, domain: str = "small_talk") -> Stream:
    """No drift but a week: `domain` keeps its times (weekends) and the domains known from training
    keep theirs, each in a random order; everything else is left out."""
    known = stream.frame["truth"].isin(stream.head.labels).to_numpy()
    groups = [np.flatnonzero(known), np.flatnonzero(stream.frame["domain"] == domain)]
    rng, slots = np.random.default_rng(seed), np.concatenate(groups)
    source = np.concatenate([rng.permutation(g) for g in groups])
    order = np.argsort(slots)
    return _filled(stream, f"{stream.name} weekly {seed}", slots[order], source[order])


def _filled(stream: Stream, name: str, slots: Array, source: Array) -> Stream:
    """The requests of `source` at the times, under the ids and by the users of `slots`."""
    frame = stream.frame.iloc[slots].reset_index(drop=True)
    for column in ("text", "truth", "domain"):
        frame[column] = stream.frame[column].to_numpy()[source]
    return replace(
        stream,
        name=name,
        frame=frame,
        embeddings=stream.embeddings[source],
        probabilities=stream.probabilities[source],
        source=stream.source[source],
    )


def read_events(data: Path) -> list[Event]:
    """What was planned in the clinc stream."""
    planned = json.loads((data / "clinc_stream.events.json").read_text(encoding="utf-8"))["events"]
    return [
        Event(e["type"], e["domain"], e["start_day"] if e["type"] != "periodic" else None, e["end_day"])
        for e in planned
    ]


def _table(path: Path) -> pd.DataFrame:
    if not path.exists():
        sys.exit(f"no {path.name} in {path.parent}: give the folder of the streams with --data")
    return pd.read_csv(path, keep_default_na=False)


def embedded(texts: Sequence[str]) -> tuple[str, Array]:
    """Who the default encoder is, and (n, dim) float32 of these texts."""
    embed = _Embedded(texts)
    return embed.encoder.identity, embed(texts)


class _Embedded:
    """Embeddings of these texts by content, from bench/out, or read now and kept there."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.encoder = load_encoder(DEFAULT)
        unique = list(dict.fromkeys(texts))
        what = "\x1f".join([self.encoder.identity, *unique]).encode()
        path = OUT / f"embeddings-{hashlib.sha256(what).hexdigest()[:16]}.npz"
        if path.exists():
            made = np.load(path)["embeddings"]
        else:
            made = self.encoder.encode(unique)
            OUT.mkdir(exist_ok=True)
            np.savez(path, embeddings=made)
        self.made, self.place = made.astype(np.float32), {t: i for i, t in enumerate(unique)}

    def __call__(self, texts: Sequence[str]) -> Array:
        return np.asarray(self.made[[self.place[t] for t in texts]])
