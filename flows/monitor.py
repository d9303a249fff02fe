"""The monitoring stage: what the store holds becomes a view, the view signals, and signals alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from core.records import Signal
from flows.alerts import alert, alerts_a_week, deliver
from flows.home import Home
from monitoring.monitor import observe
from monitoring.profiles import observe_profiles
from monitoring.view import Model, View


@dataclass(frozen=True)
class Look:
    """What a window shows. `view` is None where no text is kept."""

    signals: list[Signal]
    view: View | None


def look(home: Home, now: datetime) -> Look:
    """The signals of the window that ends now. Stores nothing, so the past may be looked at too."""
    start = now - timedelta(hours=home.strategy.monitoring.window_hours)
    view = _view(home, start, now) if home.strategy.logging.texts else None
    signals = observe(view) if view else _profiles(home, start, now)
    return Look([*signals, alerts_a_week(home, now)], view)


def monitor(home: Home, now: datetime, report: bool = False) -> list[Signal]:
    """Look, store the signals, settle the alerts and tell of them.

    An Evidently page is written when asked for, or when an alert is new.
    """
    with home.timed("monitoring"):
        seen = look(home, now)
        home.store.put_signals(seen.signals)
        new = alert(home, seen.signals, now)
        deliver(home, now)
        if seen.view and (report or new):
            write_report(home, seen.view, now)
    return seen.signals


def _view(home: Home, start: datetime, now: datetime) -> View:
    """The window, what it is held against, and the model that serves."""
    settings = home.strategy.monitoring
    window = home.store.window(start, now)
    reference = home.store.window(start - timedelta(days=settings.reference_days), start)
    return View(window, reference, _model(home), settings)


def _model(home: Home) -> Model:
    """The champion, as monitoring sees it."""
    version, rollout = home.store.champion(), home.store.live_rollout()
    champion = home.registry.load(version)
    head = champion.trained
    candidate = home.registry.load(rollout.candidate).trained if rollout else head
    known = frozenset([*head.labels, *candidate.labels])
    return Model(version, head.labels, known, champion.encoder.identity, head.probabilities)


def _profiles(home: Home, start: datetime, now: datetime) -> list[Signal]:
    """What counts can say, where no text is kept."""
    settings = home.strategy.monitoring
    before = home.store.profiles(start - timedelta(days=settings.reference_days), start)
    window = home.store.profiles(start, now)
    return observe_profiles(window, before, start, now, settings)


def write_report(home: Home, view: View, now: datetime) -> Path:
    """Evidently's page of the window, once."""
    from monitoring.reports import window_report

    page = home.workspace.reports / f"window-{now:%Y-%m-%dT%H}.html"
    if not page.exists():
        window_report(view.whole, view.whole_reference, page)
    return page
