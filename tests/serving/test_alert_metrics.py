"""Alerts on /metrics: the store's, as the server's watcher last saw it."""

from __future__ import annotations

from datetime import UTC, datetime

from core.episodes import Episode, Episodes
from core.store import Store
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from tests.serving.real_server import wait_until

NOW = datetime(2026, 1, 13, tzinfo=UTC)


def episode(signal: str, segment: str = "", over: datetime | None = None) -> Episode:
    return Episode(f"alert/{signal}/{segment}", signal, segment, "warning", NOW, NOW, over=over)


def alerts(page: bytes) -> list[str]:
    lines = page.decode().splitlines()
    return [x for x in lines if x.startswith("everloop_alerts")]


def test_open_alerts_are_counted_by_signal_and_severity() -> None:
    metrics = Metrics()
    assert alerts(metrics.page()) == ["everloop_alerts_total 0.0"]
    found = [episode("rows"), episode("confidence", "a=1"), episode("confidence", "a=2")]
    metrics.alerts.seen = Episodes(NOW, [*found, episode("drift.labels", over=NOW)], opened=9)
    assert alerts(metrics.page()) == [
        'everloop_alerts_open{severity="warning",signal="confidence"} 2.0',
        'everloop_alerts_open{severity="warning",signal="rows"} 1.0',
        "everloop_alerts_total 9.0",
    ]


def test_a_server_shows_what_the_loop_stored(store: Store, service: Service) -> None:
    store.state.write(Episodes(NOW, [episode("rows")], opened=1))
    metrics = Metrics()
    engine = Engine(service, lambda: NOW, metrics)
    engine.start()
    try:
        opened = 'everloop_alerts_open{severity="warning",signal="rows"} 1.0'
        wait_until(lambda: opened in alerts(metrics.page()))
        store.state.write(Episodes(NOW, [episode("rows", over=NOW)], opened=1))
        engine.refresh()
        wait_until(lambda: alerts(metrics.page()) == ["everloop_alerts_total 1.0"])
    finally:
        engine.stop()
