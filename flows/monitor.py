"""The monitoring stage: what the store holds becomes a view, the view signals, and signals alerts."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta

import pandas as pd

from core.records import Decision, Quarantined, Signal
from flows.home import Home
from flows.topics import follow_topics, open_topics
from monitoring.alerts import alerts
from monitoring.examples import hard_examples
from monitoring.expectations import failed_rows
from monitoring.explain import Explanation, explain
from monitoring.monitor import observe
from monitoring.page import Story, window_page
from monitoring.profiles import observe_profiles
from monitoring.signals.estimated import MOST
from monitoring.view import Model, View, no_feedback

MEMORY_DAYS = 60  # of labels, from which a calibration learns
QUARANTINED = 1000  # rows of one window that are kept with their reasons

HISTORY_DAYS = 60  # that the page shows of each signal


def monitor(home: Home, now: datetime, report: bool = False) -> list[Signal]:
    """Signals and alerts of the window that ends now; a page about it when asked or alarmed."""
    start = now - timedelta(hours=home.strategy.monitoring.window_hours)
    with home.timed("monitoring"):
        if not home.strategy.logging.texts:
            signals = _profiles(home, start, now)
            home.record(*alerts(signals, home.strategy.monitoring, now))
            return signals
        view = _view(home, start, now)
        signals = [*observe(view), follow_topics(home, view, now)]
        home.store.put_signals(signals)
        home.store.put_quarantine(_failed(view))
        home.store.decide(hard_examples(view, now))
        raised = alerts(signals, home.strategy.monitoring, now)
        drifted = any(d.evidence.get("kind") == "drift" for d in raised)
        found = explain(view) if report or drifted else Explanation()
        raised = [_explained(d, found) for d in raised]
        home.record(*raised)
        if report or raised:
            _report(home, Story(view, signals, alerts=raised, explanation=found), now, report)
    return signals


def _view(home: Home, start: datetime, now: datetime) -> View:
    """The window, what it is held against, and the model that serves."""
    settings = home.strategy.monitoring
    window = home.store.window(start, now)
    before = start - timedelta(days=settings.reference_days)
    reference = home.store.window(before, start, most=settings.reference_rows)
    return View(
        window,
        reference,
        _model(home),
        settings,
        labelled=home.store.labelled(now - timedelta(days=MEMORY_DAYS), now),
        recent=home.store.window(now - timedelta(days=settings.accuracy_days), now, most=MOST),
        feedback=_feedback(home, before, now),
        system=home.store.system(start, now),
    )


def _feedback(home: Home, start: datetime, end: datetime) -> pd.DataFrame:
    """What users said in [start, end), one row each."""
    told = home.store.feedback(start, end)
    return pd.DataFrame([asdict(f) for f in told]) if told else no_feedback()


def _model(home: Home) -> Model:
    """The champion, as monitoring sees it."""
    version, rollout = home.store.champion(), home.store.live_rollout()
    champion = home.registry.load(version)
    head = champion.trained
    candidate = home.registry.load(rollout.candidate).trained if rollout else head
    known = frozenset([*head.labels, *candidate.labels])
    encoder = champion.encoder
    return Model(
        version, head.labels, known, encoder.identity, head.probabilities, encoder.tokens.unknown
    )


def _failed(view: View) -> list[Quarantined]:
    """The window's rows that fail a check, with the names of the checks: so many at most."""
    reasons = failed_rows(view.checks)
    rows = view.window.rows
    bad = rows[rows["request_id"].isin(reasons)].head(QUARANTINED)
    times = zip(bad["request_id"], bad["timestamp"], strict=True)
    return [Quarantined(str(r), when.to_pydatetime(), reasons[str(r)]) for r, when in times]


def _profiles(home: Home, start: datetime, now: datetime) -> list[Signal]:
    """What counts can say, where no text is kept."""
    settings = home.strategy.monitoring
    before = home.store.profiles(start - timedelta(days=settings.reference_days), start)
    window = home.store.profiles(start, now)
    signals = observe_profiles(window, before, start, now, settings)
    home.store.put_signals(signals)
    return signals


def _explained(alert: Decision, found: Explanation) -> Decision:
    """A drift alert that says what changed, without anybody's text: it leaves the workspace."""
    if alert.evidence.get("kind") != "drift":
        return alert
    return replace(alert, evidence={**alert.evidence, "explanation": found.lines()})


def _report(home: Home, story: Story, now: datetime, compare: bool) -> None:
    """Our page; Evidently's beside it where it was asked for, since that takes its seconds."""
    from monitoring.reports import window_report

    folder, name = home.workspace.reports, f"window-{now:%Y-%m-%dT%H}"
    comparison = folder / f"{name}.evidently.html"
    if compare and not comparison.exists():
        window_report(story.view.whole, story.view.whole_reference, comparison)
    past = home.store.signals(since=now - timedelta(days=HISTORY_DAYS))
    history = [s for s in past if s.window_end <= now]
    beside = comparison.name if comparison.exists() else ""
    told = replace(story, history=history, topics=open_topics(home), comparison=beside)
    window_page(told, folder / f"{name}.html")
