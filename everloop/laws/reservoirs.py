"""Reservoirs to try formation policies on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from pipelines.datasets.reservoir import first_rows

START = datetime(2026, 1, 5, tzinfo=UTC)


def rows(texts: list[str], day: float) -> pd.DataFrame:
    times = [START + timedelta(days=day, minutes=i) for i in range(len(texts))]
    table = pd.DataFrame({"text": texts, "label": "card", "timestamp": times})
    return first_rows(table, np.ones((len(texts), 4)), "train", "tiny", START)


def many(days: int = 9) -> pd.DataFrame:
    parts = [rows([f"{d} {i}" for i in range(10)], day=d) for d in range(days)]
    return pd.concat(parts, ignore_index=True)


AS_OF = START + timedelta(days=9)
