"""Pools to try curation policies on: one of which everything is known, and those of bad days."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.records.windows import Window
from everloop.laws.windows import window
from pipelines.curation.pool import HeldOut, KnownRows, Pool


def rich(rows: int = 40, seed: int = 0) -> Pool:
    """Everything is known: near-copies, a log that keeps some rows more often, complaints, a topic, a
    collection, known rows, held-out rows."""
    w = window(rows, seed=seed)
    frame, embeddings = w.rows.copy(), w.embeddings.copy()
    frame.loc[[1, 2], "text"] = ["TEXT  0", "text 0"]  # three that are one
    embeddings[5] = embeddings[4] * 1.01  # two that are one
    frame["kept"] = np.where(np.arange(rows) % 3 == 0, 0.5, 1.0)
    topics = np.full(rows, -1)
    topics[10:14], topics[20] = 0, 1
    rng = np.random.default_rng(seed + 1)
    known = KnownRows(rng.normal(size=(12, 8)), np.array(["a", "b", "c"] * 4, dtype=object))
    return Pool(
        replace(w, rows=frame, embeddings=embeddings),
        known=known,
        complaints=np.arange(rows) % 7 == 3,
        topics=topics,
        collections={"refunds": rng.normal(size=(5, 8))},
        held_out=HeldOut(["text 30", "elsewhere"], w.embeddings[31:32]),
    )


def of_copies(w: Window) -> Window:
    """The window, and every row of it again under another id."""
    twice = w.take(np.tile(np.arange(len(w)), 2))
    twice.rows["prediction_id"] = [
        f"{p}-{i >= len(w)}" for i, p in enumerate(twice.rows["prediction_id"])
    ]
    return twice


def odd_pools() -> dict[str, Pool]:
    """What a window can look like on a bad day."""
    w = window(30)
    constant = replace(w, embeddings=np.ones_like(w.embeddings))
    broken = w.embeddings.copy()
    broken[::3], broken[1] = np.nan, 0
    shares = [p[: 2 + i % 3] for i, p in enumerate(w.probabilities)]
    one_text = replace(w, rows=w.rows.assign(text="the same"))
    return {
        "empty": Pool(window(0)),
        "one row": Pool(window(1)),
        "one label": Pool(window(30, labels=1)),
        "constant embeddings": Pool(constant),
        "broken embeddings": replace(rich(30), window=replace(w, embeddings=broken)),
        "no embeddings": Pool(replace(w, embeddings=w.embeddings[:, :0])),
        "models of several sizes": Pool(replace(w, probabilities=shares)),
        "nothing but near-copies": Pool(one_text),
        "all of it held out": Pool(w, held_out=HeldOut(w.rows["text"].tolist(), w.embeddings[:0])),
        "one label known": Pool(
            w, known=KnownRows(w.embeddings[:9], np.array(["a"] * 9, dtype=object))
        ),
    }


ODD = odd_pools()
