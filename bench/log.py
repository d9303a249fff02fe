"""How fast the prediction log takes rows into SQLite, writing alone, each commit synced.

python -m bench.log --json bench/log.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.form import Row, report
from core.ids import uuid7
from core.records.answers import ClassificationDetail, Prediction
from core.store import Store
from pipelines.logging.all import All
from serving.metrics import Metrics
from serving.writer import Writer

START = datetime(2026, 1, 5, tzinfo=UTC)
PART = 20_000
TEXT = "what is the exchange rate of the euro to the dollar"


def answers(start: int, n: int, dim: int = 384, labels: int = 150) -> list[Prediction]:
    """Rows as a server of MiniLM with 150 labels makes them, every id its own."""
    rng = np.random.default_rng(start)
    embeddings = rng.normal(size=(n, dim)).astype(np.float16)
    probabilities = rng.random((n, labels)).astype(np.float16)
    found = []
    for i in range(n):
        when = START + timedelta(milliseconds=start + i)
        request_id = uuid7(when, str(start + i))
        found.append(
            Prediction(
                prediction_id=uuid7(when, request_id, "champion"),
                request_id=request_id,
                timestamp=when,
                model_version="3",
                variant="champion",
                text=TEXT,
                output="exchange_rate",
                confidence=0.91,
                detail=ClassificationDetail(probabilities[i]),
                embedding=embeddings[i],
                encoder="all-MiniLM-L6-v2@fp32",
                segments={"app": "web", "country": "de"},
                user_key="cbae851becaadb26",
                latency_ms=1.5,
            )
        )
    return found


def log_rows(rows: int = 200_000, call: int = 32) -> list[Row]:
    """Rows a second over parts of 20,000, put as the server does: `call` at a time, many waiting."""
    rates, cpu = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db", busy=1)
        writer = Writer(store, All(policy="all").keep, Path(folder), Metrics())
        for start in range(0, rows, PART):
            part = answers(start, PART)
            began, busy = time.perf_counter(), time.process_time()
            waits = [writer.put(part[i : i + call], call) for i in range(0, PART, call)]
            for wait in waits:
                wait.result()
            rates.append(PART / (time.perf_counter() - began))
            cpu += time.process_time() - busy
        assert store.answers.count() == rows
        writer.close()
        store.close()
    spread = f"{min(rates):,.0f}..{max(rates):,.0f} over {len(rates)} parts of {PART:,}"
    return [
        Row("log rows into SQLite, synced", statistics.median(rates), "rows/s", ">= 20000", spread),
        Row("processor time of a logged row", cpu / rows * 1e6, "us"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    options = parser.parse_args()
    report("log", log_rows(options.rows), options.json)


if __name__ == "__main__":
    main()
