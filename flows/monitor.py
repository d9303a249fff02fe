"""The monitoring stage: what the store holds becomes a view, the view signals, and signals alerts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pandas as pd

from core.arrays import Array
from core.evidence import AlertEvidence
from core.label_set import LabelSet
from core.models import base
from core.progress import doing
from core.records.answers import Quarantined
from core.records.decisions import Decision
from core.records.signals import Signal
from core.records.windows import Window
from core.rowwise import one_thread
from flows.alerts import alert, alerts_a_week, deliver, open_alerts
from flows.collections import collected
from flows.reference import reference
from flows.session import Session
from flows.story import history, kind_of, remember
from flows.topics import follow_topics, open_topics
from monitoring.accuracy.hard_examples import hard_examples
from monitoring.explain.explanation import explain
from monitoring.limits import ACCURACY_DAYS, MAX_CHARACTERS
from monitoring.monitor import observe
from monitoring.page import WindowStory, window_page
from monitoring.quality.checks import failed_rows
from monitoring.signals.accuracy import MOST
from monitoring.signals.profiles import observe_profiles
from monitoring.view import ServedModel, View, no_feedback

MEMORY_DAYS = 60  # of labels, from which a calibration learns
QUARANTINED = 1000  # rows of one window that are kept with their reasons
HISTORY_DAYS = 60  # that the page shows of each signal


@dataclass(frozen=True)
class Observation:
    """What a window shows. `view` is None where no text is kept."""

    signals: list[Signal]
    view: View | None


@one_thread()
def look(session: Session, now: datetime) -> Observation:
    """The signals of the window that ends now. Stores nothing, so the past may be looked at too."""
    doing("looking at the newest window")
    start = now - timedelta(hours=session.strategy.monitoring.window_hours)
    view = _view(session, start, now) if session.strategy.logging.texts else None
    signals = observe(view) if view else _profiles(session, start, now)
    return Observation([*signals, alerts_a_week(session.store, now)], view)


@one_thread()
def monitor(session: Session, now: datetime, report: bool = False) -> list[Signal]:
    """Look, store the signals, settle the alerts and tell of them.

    A page about the window is written when asked for, or when an alert is new.
    """
    with session.timed("monitoring"):
        seen = look(session, now)
        if seen.view is None:
            session.store.signals.put(seen.signals)
            alert(session, seen.signals, now)
            deliver(session, now)
            return seen.signals
        view, signals = seen.view, [*seen.signals, follow_topics(session, seen.view, now)]
        session.store.signals.put(signals)
        session.store.signals.put_quarantine(_failed(view))
        session.store.decisions.put(hard_examples(view, now))
        episodes = remember(session, view, now)
        explained = cache(lambda: explain(view))

        def why(new: Decision) -> AlertEvidence:
            """What changed and which kind of drift it is; nobody's text, as it leaves the workspace."""
            found = new.read(AlertEvidence)
            if found.kind != "drift":
                return found
            episode = kind_of(found, episodes) or found.episode
            return replace(found, explanation=explained().lines(), episode=episode)

        new = alert(session, signals, now, why)
        deliver(session, now)
        if report or new:
            story = WindowStory(
                view, signals, alerts=open_alerts(session.store), explanation=explained()
            )
            write_report(session, story, now, report)
    return signals


def _view(session: Session, start: datetime, now: datetime) -> View:
    """The window, what it is held against, and the model that serves."""
    settings, store = session.strategy.monitoring, session.store.at(now)
    champion = session.registry.load(store.state.champion())
    model = _model(session, champion, store.label_set)
    rows, name = reference(session, model, start, now)
    window = store.answers.window(start, now)
    told = store.feedback.within(min(rows.start, start), now)
    return View(
        window,
        rows,
        model,
        settings,
        reference_name=name,
        labelled=store.answers.labelled(now - timedelta(days=MEMORY_DAYS), now),
        recent=store.answers.window(now - timedelta(days=ACCURACY_DAYS), now, most=MOST),
        feedback=pd.DataFrame([asdict(f) for f in told]) if told else no_feedback(),
        system=store.signals.system(start, now),
        history=history(session, model.encoder, start),
        collections=collected(session, champion, store.label_set),
        task=session.task,
    )


def _model(session: Session, champion: base.Model, labels: LabelSet) -> ServedModel:
    """The champion, as monitoring sees it: answering in these labels."""
    version = session.store.state.champion()
    known = _known(session, champion, labels) if session.task.labelled else None
    model, embeddings = champion.under(labels), session.store.embeddings
    classify = model.probabilities if isinstance(model, base.Classifier) else None

    def embed(outputs: list[str]) -> Array:
        return embeddings.of(outputs, model.identity, model.embed, "outputs")

    reader = _surprise(session, model) if isinstance(model, base.AnswerReader) else None
    return ServedModel(
        version, model.labels, known, model.identity, classify, model.unknown, embed, reader
    )


def _surprise(session: Session, model: base.AnswerReader) -> Callable[[Window], Array]:
    """How much a model is surprised by the right answers of rows."""

    def surprise(rows: Window) -> Array:
        requests = rows.rows["request_id"].tolist()
        known = session.store.answers.known(requests)
        inputs = [known[r].input for r in requests]
        return model.surprise(inputs, rows.rows["truth"].tolist())

    return surprise


def _known(session: Session, champion: base.Model, labels: LabelSet) -> frozenset[str]:
    """The labels of who serves; what was retired since was no fault then."""
    rollout = session.store.decisions.live_rollout()
    learnt = [*champion.labels, *(session.registry.labels(rollout.candidate) if rollout else ())]
    return frozenset(labels.last(x) for x in learnt)


def _failed(view: View) -> list[Quarantined]:
    """The window's rows that fail a check, with the names of the checks: so many at most."""
    if len(view.window) == 0:
        return []
    reasons = failed_rows(view.checks)
    rows = view.window.rows
    bad = rows[rows["request_id"].isin(reasons)].head(QUARANTINED)
    times = zip(bad["request_id"], bad["timestamp"], strict=True)
    return [Quarantined(str(r), when.to_pydatetime(), reasons[str(r)]) for r, when in times]


def _profiles(session: Session, start: datetime, now: datetime) -> list[Signal]:
    """What counts can say, where no text is kept."""
    settings = session.strategy.monitoring
    store = session.store.at(now)
    before = store.answers.profiles(start - timedelta(days=settings.reference_days), start)
    window = store.answers.profiles(start, now)
    return observe_profiles(window, before, start, now, settings)


def write_docs(session: Session, view: View) -> Path:
    """Great Expectations' page of what each check found, with values that failed."""
    from monitoring.quality.data_docs import data_docs

    doing("writing the page of checks")
    settings = session.strategy.monitoring
    asked = (view.model.known, MAX_CHARACTERS, session.workspace.reports, settings.expectations)
    return data_docs(view.window, *asked)


def write_report(session: Session, story: WindowStory, now: datetime, compare: bool) -> Path:
    """Our page; Evidently's beside it where it was asked for, since that takes its seconds."""
    from monitoring.reports import window_report

    doing("writing the report")
    folder, name = session.workspace.reports, f"window-{now:%Y-%m-%dT%H}"
    comparison = folder / f"{name}.evidently.html"
    if compare and not comparison.exists():
        window_report(story.view.whole, story.view.whole_reference, comparison)
    history = session.store.signals.read(now - timedelta(days=HISTORY_DAYS), until=now)
    beside = comparison.name if comparison.exists() else ""
    told = replace(story, history=history, topics=open_topics(session), comparison=beside)
    return window_page(told, folder / f"{name}.html")
