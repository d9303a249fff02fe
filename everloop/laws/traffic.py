"""Traffic to measure: made, seeded, of any size, each day like the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from core.records.windows import Window
from everloop.laws.windows import scored

NOW = datetime(2026, 1, 13, tzinfo=UTC)
DAY = timedelta(days=1)
LABELS = ["refund", "delivery", "invoice"]
WORDS = np.array([f"word{i}" for i in range(400)])


def traffic(start: datetime, days: int, rows: int, seed: int = 0, **columns: Any) -> Window:
    """`rows` answers, evenly spread; every fifth one is labelled, and right nine times in ten."""
    rng = np.random.default_rng([seed, rows, days])
    shares = rng.dirichlet(np.full(3, 0.3), rows).astype(np.float32)
    codes = shares.argmax(axis=1)
    wrong = rng.random(rows) < 0.1
    truth = np.array(LABELS, dtype=object)[np.where(wrong, (codes + 1) % 3, codes)]
    picked = np.arange(rows) % 5 == 0
    at = WORDS[np.minimum(rng.zipf(1.5, (rows, 8)) - 1, len(WORDS) - 1)]
    frame = pd.DataFrame(
        {
            "prediction_id": [f"p-{seed}-{start:%d}-{i}" for i in range(rows)],
            "request_id": [f"r-{seed}-{start:%d}-{i}" for i in range(rows)],
            "timestamp": pd.Series([start + DAY * days * (i / rows) for i in range(rows)]),
            "model_version": "1",
            "variant": "champion",
            "text": [" ".join(words) for words in at],
            "output": [LABELS[c] for c in codes],
            "confidence": shares.max(axis=1).astype(float),
            "encoder": "minilm",
            "user_key": "",
            "latency_ms": rng.exponential(10.0, rows),
            "truth": pd.Series(
                [t if p else None for t, p in zip(truth, picked, strict=True)], dtype=object
            ),
            "audit": picked,
            "kept": 1.0,
            "propensity": np.where(picked, 0.2, np.nan),
            "segment.plan": np.array(["free", "pro"])[rng.integers(0, 2, rows)],
        }
    ).assign(**columns)
    frame = scored(frame)
    embeddings = (np.eye(3, 8)[codes] * 3 + rng.normal(size=(rows, 8))).astype(np.float32)
    return Window(start, start + DAY * days, frame, embeddings, shares)


def today(rows: int = 400, **columns: Any) -> Window:
    return traffic(NOW - DAY, 1, rows, **columns)


def before(rows: int = 2800, **columns: Any) -> Window:
    return traffic(NOW - 8 * DAY, 7, rows, seed=1, **columns)
