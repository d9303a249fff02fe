"""BentoML with its batching: bentoml serve bentoml_service:Bench --port PORT."""

import os

import bentoml
from model import Classifier


@bentoml.service(workers=int(os.environ.get("BENCH_WORKERS", "1")), traffic={"timeout": 30})
class Bench:
    def __init__(self) -> None:
        self.model = Classifier()
        self.model(["warm"] * 8)

    @bentoml.api(
        batchable=True,
        max_batch_size=int(os.environ.get("BENCH_BATCH", "32")),
        max_latency_ms=int(os.environ.get("BENCH_LATENCY_MS", "1000")),
    )
    def classify(self, texts: list[str]) -> list[dict]:
        return self.model(texts)
