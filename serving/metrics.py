"""What the server counts, for Prometheus: one `Metrics` a server, read at /metrics."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.episodes import Episodes

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Alerts(Collector):
    """What monitoring says is wrong, as the store last had it: monitoring is another process."""

    def __init__(self) -> None:
        self.seen = Episodes()

    def collect(self) -> Iterator[Metric]:
        now = GaugeMetricFamily("everloop_alerts_open", "alerts open", labels=["signal", "severity"])
        counts = Counted((e.signal, e.severity) for e in self.seen.open)
        for labels, open_ in sorted(counts.items()):
            now.add_metric(labels, open_)
        yield now
        yield CounterMetricFamily("everloop_alerts", "alerts ever opened", value=self.seen.opened)


class Metrics:
    """Every number of one server, in a registry of its own: two servers in a process do not mix."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("everloop_requests", "HTTP requests", ["route", "code"], registry=own)
        self._counts: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.seconds = Histogram(
            "everloop_request_seconds", "time to answer", ["route"], buckets=SECONDS, registry=own
        )
        self.predictions = Counter(
            "everloop_predictions", "rows scored", ["variant", "model_version"], registry=own
        )
        self.errors = Counter(
            "everloop_prediction_errors", "texts without an answer", ["variant", "error"], registry=own
        )
        self.batch = Histogram(
            "everloop_batch_texts", "texts the model read together", buckets=TEXTS, registry=own
        )
        self.model_seconds = Histogram(
            "everloop_model_seconds", "one batch through the model", buckets=SECONDS, registry=own
        )
        self.queue = Gauge("everloop_queue_texts", "texts waiting for the model", registry=own)
        self.cache_hits = Counter("everloop_cache_hits", "texts known to the cache", registry=own)
        self.cache_misses = Counter("everloop_cache_misses", "texts the encoder read", registry=own)
        self.log_rows = Counter("everloop_log_rows", "rows committed to the store", registry=own)
        self.log_lag = Gauge(
            "everloop_log_lag_seconds", "age of the oldest row not stored", registry=own
        )
        self.log_waiting = Gauge("everloop_log_waiting_rows", "rows not yet stored", registry=own)
        self.log_spooled = Gauge(
            "everloop_log_spooled_rows", "rows on disk, not in the store", registry=own
        )
        self.model = Gauge(
            "everloop_model", "1 for what serves now", ["variant", "model_version"], registry=own
        )
        self.swaps = Counter("everloop_model_swaps", "versions swapped in", registry=own)
        self.alerts = Alerts()
        own.register(self.alerts)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request. `route` is a template, so that there are few of them."""
        found = self._counts.get((route, status))
        if found is None:  # `labels` is as dear as the counting itself
            found = self.requests.labels(route, status), self.seconds.labels(route)
            self._counts[route, status] = found
        count, histogram = found
        count.inc()
        histogram.observe(seconds)

    def page(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)


def metrics_page(metrics: Metrics) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics", tags=["operations"], response_class=Response)
    def page() -> Response:
        """Everything the server counts, in Prometheus' text format."""
        return Response(metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return router
