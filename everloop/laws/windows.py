"""Windows to try policies on: made, seeded, of any size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from core.ids import uuid7
from core.records.windows import Window
from core.tasks import Classification

START = datetime(2026, 1, 5, tzinfo=UTC)


def window(rows: int, labels: int = 4, dim: int = 8, seed: int = 0) -> Window:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(labels, 0.3), size=rows).astype(np.float32)
    times = [START + timedelta(minutes=5 * i) for i in range(rows)]
    best = probabilities.argmax(axis=1) if rows else np.array([], dtype=int)
    frame = pd.DataFrame(
        {
            "prediction_id": [uuid7(t, f"r{i}") for i, t in enumerate(times)],
            "request_id": [f"r{i}" for i in range(rows)],
            "timestamp": times,
            "model_version": "1",
            "variant": "champion",
            "text": [f"text {i}" for i in range(rows)],
            "output": [f"label-{b}" for b in best],
            "confidence": probabilities.max(axis=1) if rows else [],
            "encoder": "e",
            "user_key": "u",
            "truth": pd.Series([None] * rows, dtype=object),
            "score": np.nan,
            "audit": False,
            "kept": 1.0,
            "propensity": np.full(rows, np.nan),
            "segment.plan": [("free", "paid")[i % 10 == 0] for i in range(rows)],
        }
    )
    embeddings = rng.normal(size=(rows, dim)).astype(np.float32)
    return Window(START, START + timedelta(days=1), frame, embeddings, list(probabilities))


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a window with the score of each answer whose truth is in them, as the store has it."""
    truths = rows["truth"].astype(object).where(rows["truth"].notna(), None)
    pairs = zip(rows["output"], truths, strict=True)
    judge = Classification().score
    return rows.assign(score=np.array([judge(o, t) for o, t in pairs], dtype=float))
