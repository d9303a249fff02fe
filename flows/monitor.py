"""The monitoring stage: what the store holds becomes a view, the view signals, and signals alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from core.records import Decision, Signal
from flows.home import Home
from flows.reference import reference
from monitoring.alerts import alerts
from monitoring.drift import History
from monitoring.kinds import Episode
from monitoring.monitor import observe
from monitoring.profiles import observe_profiles
from monitoring.signals.drift import WEEK
from monitoring.view import Model, View

STORY = "drift story"
LEARN = 28


def monitor(home: Home, now: datetime, report: bool = False) -> list[Signal]:
    """Signals and alerts of the window that ends now; an Evidently page when asked or alarmed."""
    start = now - timedelta(hours=home.strategy.monitoring.window_hours)
    with home.timed("monitoring"):
        if not home.strategy.logging.texts:
            signals = _profiles(home, start, now)
            _alert(home, signals, now, ())
            return signals
        view = _view(home, start, now)
        signals = observe(view)
        home.store.put_signals(signals)
        episodes = _remember(home, view, now)
        raised = _alert(home, signals, now, episodes)
        if report or raised:
            _report(home, view, now)
    return signals


def _view(home: Home, start: datetime, now: datetime) -> View:
    """The window, what it is held against, and the model that serves."""
    model = _model(home)
    rows, name = reference(home, model, start, now)
    window = home.store.window(start, now)
    history = _history(home, model.encoder, start)
    return View(window, rows, model, home.strategy.monitoring, name, history=history)


def _history(home: Home, encoder: str, start: datetime) -> History:
    """What earlier windows left: a window that is looked at again sees what it saw the first time."""
    known = _before(home, start)
    episodes = tuple(Episode.from_json(e) for e in known["episodes"])
    judged = tuple((v, sd) for v, sd in known["judged"])
    return History(tuple(home.store.samples(encoder, start)), episodes, judged)


def _before(home: Home, start: datetime) -> dict[str, Any]:
    """The newest stand of the story that does not know of the traffic from `start` on."""
    nothing: dict[str, Any] = {"until": "", "episodes": [], "judged": []}
    kept = home.store.get(STORY) or []
    return next((s for s in reversed(kept) if s["until"] <= start.isoformat()), nothing)


def _remember(home: Home, view: View, now: datetime) -> tuple[Episode, ...]:
    """Keep samples of the traffic and how the story stands now; returns the episodes."""
    seen = view.traffic
    if isinstance(seen, str):
        return ()
    start = view.whole.start
    home.store.put_samples(seen.drawn)
    before = _before(home, start)
    stand = {
        "until": now.isoformat(),
        "episodes": [e.to_json() for e in seen.episodes],
        "judged": [*before["judged"], (seen.day.value, seen.day.noise)][-LEARN:],
    }
    kept = [s for s in home.store.get(STORY) or [] if before["until"] <= s["until"] < stand["until"]]
    home.store.set(STORY, [*kept, stand])
    return seen.episodes


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
    signals = observe_profiles(window, before, start, now, settings)
    home.store.put_signals(signals)
    return signals


def _alert(
    home: Home, signals: list[Signal], now: datetime, episodes: tuple[Episode, ...]
) -> list[Decision]:
    raised = [_with_kind(d, episodes) for d in alerts(signals, home.strategy.monitoring, now)]
    home.record(*raised)
    return raised


def _with_kind(alert: Decision, episodes: tuple[Episode, ...]) -> Decision:
    """A drift alert says which episode it belongs to."""
    if alert.evidence.get("kind") != "drift" or not episodes:
        return alert
    slow = alert.evidence["signal"] == WEEK.name
    mine = [e for e in episodes if (e.kind == "gradual") is slow]
    return replace(alert, evidence={**alert.evidence, "episode": mine[-1].to_json()}) if mine else alert


def _report(home: Home, view: View, now: datetime) -> None:
    from monitoring.reports import window_report

    page = home.workspace.reports / f"window-{now:%Y-%m-%dT%H}.html"
    if not page.exists():
        window_report(view.whole, view.whole_reference, page)
