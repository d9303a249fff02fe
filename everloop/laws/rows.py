"""Answers to try policies on: one row of the prediction log each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from core.ids import uuid7
from core.records.answers import ClassificationDetail, Prediction

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def row(i: int, variant: str = "champion", **other: Any) -> Prediction:
    when = NOW + timedelta(seconds=i)
    values: dict[str, Any] = {
        "prediction_id": uuid7(when, f"r{i}", variant), "request_id": f"r{i}", "timestamp": when,
        "model_version": "1", "variant": variant, "text": f"text {i}", "output": "a",
        "confidence": 0.75,
        "detail": ClassificationDetail(np.array([0.75, 0.25], dtype=np.float16)),
        "embedding": None if variant == "shadow" else np.arange(4, dtype=np.float16),
        "encoder": "e", "segments": {"plan": "free"}, "user_key": "u", "latency_ms": 1.0,
    }  # fmt: skip
    return Prediction(**(values | other))
