"""Seeded traffic in which the label, segment, words and texts that change are known exactly."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from core.arrays import Array
from core.records.windows import Window
from core.tasks import Classification, fits
from monitoring import Monitoring
from monitoring.signals import SPECS
from monitoring.signals.collections import COLLECTION
from monitoring.view import ServedModel, View

NOW = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)
DIM = 24
LABELS = ["card", "loan", "money", "branch", "fees"]
NEW = "tyre"
WORDS = {
    "card": ["card", "pin", "chip", "lost"],
    "loan": ["loan", "rate", "interest", "years"],
    "money": ["send", "euros", "abroad", "account"],
    "branch": ["branch", "hours", "open", "nearest"],
    "fees": ["fee", "charged", "monthly", "refund"],
    NEW: ["tyre", "oil", "engine", "garage"],
}
CENTRES = np.random.default_rng(99).normal(size=(len(WORDS), DIM))


def signal_names(metrics: Collection[str]) -> list[str]:
    """Every signal of a classifier's window with these metrics, where there are no collections."""
    of = {"drift.embeddings": "mmd", "drift.week": "mmd", "drift.labels": "l1"}
    metric = {s.name: of.get(s.name, s.name.rsplit(".", 1)[-1]) for s in SPECS.values()}
    some = [s for s in SPECS.values() if s is not COLLECTION and fits(s, Classification())]
    return [s.name for s in some if s.kind != "drift" or metric[s.name] in metrics]


def traffic(
    end: datetime = NOW,
    days: int = 1,
    rows: int = 120,
    new: float = 0.0,
    seed: int = 0,
    web: float = 0.3,
) -> Window:
    """`rows` texts a day before `end` of five known topics, and a share `new` of one nobody has learnt;
    the model is sure of the known ones only. A share `web` has segment channel=web, else app."""
    rng = np.random.default_rng([seed, end.toordinal(), days])
    n = rows * days
    topics = np.where(rng.random(n) < new, len(LABELS), rng.integers(0, len(LABELS), n))
    names = np.array([*LABELS, NEW])[topics]
    said = rng.integers(0, len(LABELS), n)
    score = np.where(topics < len(LABELS), rng.uniform(0.6, 1, n), rng.uniform(0.2, 0.4, n))
    start = end - DAY * days
    frame = pd.DataFrame(
        {
            "prediction_id": [f"p{start:%m%d}-{seed}-{i:05d}" for i in range(n)],
            "request_id": [f"r{start:%m%d}-{seed}-{i:05d}" for i in range(n)],
            "timestamp": [start + DAY * days * (i / n) for i in range(n)],
            "model_version": "1",
            "variant": "champion",
            "text": [sentence(name, rng) for name in names],
            "output": np.array(LABELS)[np.where(topics < len(LABELS), topics, said % 2)],
            "confidence": score,
            "encoder": "minilm",
            "user_key": "",
            "truth": pd.Series([None] * n, dtype=object),
            "score": np.nan,
            "audit": False,
            "propensity": np.nan,
            "segment.channel": np.where(rng.random(n) < web, "web", "app"),
            "topic": names,
        }
    )
    embeddings = (CENTRES[topics] * 1.2 + rng.normal(size=(n, DIM))).astype(np.float32)
    return Window(start, end, frame, embeddings, [np.ones(3, np.float32)] * n)


def sentence(topic: str, rng: np.random.Generator) -> str:
    own = rng.choice(WORDS[topic], 2, replace=False)
    filler = rng.choice(["please", "can", "you", "help", "my", "the", "what", "is"], 4)
    return " ".join([*filler[:2], own[0], *filler[2:], own[1]])


def view(window: Window | None = None, reference: Window | None = None) -> View:
    """A day of traffic against the week before it."""
    ours = traffic() if window is None else window
    theirs = traffic(NOW - DAY, 7) if reference is None else reference
    return View(ours, theirs, ServedModel("1", LABELS, frozenset(LABELS), "minilm"), Monitoring())


def shuffled(window: Window, seed: int = 1) -> Window:
    return window.take(np.random.default_rng(seed).permutation(len(window)))


def learnt(rows: int = 300) -> Array:
    """Embeddings of labelled rows of the known topics."""
    return traffic(datetime(2025, 12, 1, tzinfo=UTC), 1, rows, seed=7).embeddings
