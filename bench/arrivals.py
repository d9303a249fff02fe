"""Streams made to choose by, so that the clinc stream only confirms: known topics, then new ones.

Half of a corpus's topics are known at first, 16 rows a label. The others come on random days: at
once, over 20 days, on weekends, for some days. Banking77 has no topics: ten random groups of labels
stand for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from bench.streams import DAY, Labelled, Stream, embedded
from core.arrays import Array
from core.models.classifier.head import fit_head

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 60
PER_DAY = {"clinc150": 200, "banking77": 160}
KINDS = {
    "clinc150": ("at once", "at once", "at once", "gradual", "weekend"),
    "banking77": ("at once", "at once", "gradual", "weekend", "burst"),
}
PER_LABEL = 16


@dataclass(frozen=True)
class Arrival:
    kind: str
    start: int
    end: int

    def weight(self, day: int) -> float:
        """How much of it there is on a day; a known topic is 1."""
        if self.kind == "at once":
            return float(day >= self.start)
        if self.kind == "gradual":
            return min(max((day - self.start) / (self.end - self.start), 0.0), 1.0)
        return 1.5 * float(
            day % 7 in (5, 6) if self.kind == "weekend" else self.start <= day < self.end
        )


def make(corpus: str, seed: int, data: Path) -> Stream:
    """A stream of `clinc150` or `banking77`; each text comes once."""
    rng = np.random.default_rng(1000 + seed)
    frame = pd.read_csv(data / f"{corpus}.csv", keep_default_na=False)
    labels, texts = frame["label"].to_numpy(str), frame["text"].to_numpy(str)
    topics = _topics(corpus, frame, rng)
    names = rng.permutation([t for t in topics if t != "oos"])
    known, late = names[:5].tolist(), names[5:].tolist()
    arrivals = {t: _arrival(k, rng) for t, k in zip(late, KINDS[corpus], strict=True)}
    if "oos" in topics:
        start = int(rng.integers(8, 50))
        arrivals["oos"] = Arrival("burst", start, start + 3)
    left = {n: rng.permutation(np.flatnonzero(labels == n)).tolist() for n in np.unique(labels)}
    train = np.array([left[n].pop() for t in known for n in topics[t] for _ in range(PER_LABEL)])
    rows, days = [], []
    for day in range(DAYS):
        weight = dict.fromkeys(known, 1.0) | {t: a.weight(day) for t, a in arrivals.items()}
        share = np.array(list(weight.values())) / sum(weight.values())
        for topic in rng.choice(list(weight), size=int(rng.poisson(PER_DAY[corpus])), p=share):
            label = topics[str(topic)][int(rng.integers(len(topics[str(topic)])))]
            if left[label]:
                rows.append(left[label].pop())
                days.append(day)
    return _stream(f"{corpus} {seed}", (texts, labels), np.array(rows), np.array(days), train)


def _topics(corpus: str, frame: pd.DataFrame, rng: np.random.Generator) -> dict[str, list[str]]:
    if corpus == "clinc150":
        return {str(d): sorted(set(part["label"])) for d, part in frame.groupby("domain")}
    labels = rng.permutation(sorted(set(frame["label"]))).tolist()
    return {f"group {i}": labels[i::10] for i in range(10)}


def _arrival(kind: str, rng: np.random.Generator) -> Arrival:
    start = int(rng.integers(5, 35 if kind == "gradual" else 50))
    return Arrival(kind, start, start + (20 if kind == "gradual" else int(rng.integers(3, 8))))


def _stream(name: str, corpus: tuple[Array, Array], rows: Array, days: Array, train: Array) -> Stream:
    texts, labels = corpus
    encoder, embeddings = embedded(texts.tolist())
    training = Labelled(texts[train], labels[train], embeddings[train])
    head = fit_head(training.embeddings, training.labels.tolist())
    within = np.concatenate([np.arange(n) / n for n in np.bincount(days)[np.unique(days)]])
    frame = pd.DataFrame(
        {
            "request_id": [f"{name}/{i}" for i in rows],
            "timestamp": pd.to_datetime(
                [START + (d + w) * DAY for d, w in zip(days, within, strict=True)]
            ),
            "user_key": "",
            "text": texts[rows],
            "truth": labels[rows],
            "domain": "",
        }
    )
    nobody = Labelled(texts[:0], labels[:0], embeddings[:0])
    shares = head.probabilities(embeddings[rows])
    return Stream(
        name, frame, embeddings[rows], shares, head, encoder, training, nobody, np.arange(len(rows))
    )
