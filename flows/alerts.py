"""Alerts of a workspace: what a window opens, keeps and ends, and telling people of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from core.episodes import Episode, Episodes
from core.evidence import AlertEndEvidence, AlertEvidence
from core.records.decisions import Decision
from core.records.signals import Signal
from core.state import ToldAlerts
from core.store import Store
from monitoring.alerts.decisions import FATIGUE_DAYS, back, course, fatigue, in_words, opened, over
from monitoring.alerts.delivery import Channel, DeliveryError, Level, due, message
from monitoring.alerts.episodes import Change, turn
from monitoring.alerts.findings import Past, findings
from monitoring.alerts.rules.base import Rule
from monitoring.alerts.severity import ORDER
from pipelines.triggers.trigger import last_seen

if TYPE_CHECKING:
    from flows.session import Session

log = logging.getLogger(__name__)
Why = Callable[[Decision], AlertEvidence]


def weigh(
    session: Session, signals: Sequence[Signal], now: datetime, known: Episodes
) -> tuple[Episodes, list[Change]]:
    """What becomes of every alert in the window that these signals are of. Stores nothing."""
    found = findings(signals, session.strategy.monitoring.rules, past(session))
    return turn(known, signals, found, session.store.state.champion(), now)


def past(session: Session) -> Past:
    """What was stored of a signal before its window, as far back as a rule looks."""

    def look(rule: Rule, signal: Signal) -> Sequence[Signal]:
        if not rule.memory:
            return ()
        start = signal.window_start
        return session.store.signals.read(start - rule.memory, signal.name, start, signal.segment)

    return look


def _plain(new: Decision) -> AlertEvidence:
    return new.read(AlertEvidence)


def _with(new: Decision, why: Why) -> Decision:
    return replace(new, evidence=why(new))


def alert(
    session: Session,
    signals: Sequence[Signal],
    now: datetime,
    why: Why = _plain,
) -> list[Decision]:
    """Store what becomes of the alerts, all of it or nothing; returns those that are new.

    `why` gives more evidence for a new one. Killed and called again with the same `now` and
    signals, it stores the same.
    """
    after, changes = weigh(session, signals, now, session.store.state.read(Episodes))
    decided = [(c, decisions(session, c, now)) for c in changes]
    decided = [(c, [_with(d, why) for d in f] if c.what == "opened" else f) for c, f in decided]
    session.store.decisions.put([d for _, found in decided for d in found], [after])
    for change, found in decided:
        if change.what != "kept":
            for decision in found[-1:]:
                session.listen(decision)
    return [d for change, found in decided if change.what == "opened" for d in found]


def decisions(session: Session, change: Change, now: datetime) -> list[Decision]:
    """The records of a change, the one that says what is new last."""
    episode = change.episode
    stored = session.store.decisions.get(episode.key)
    if change.what == "opened" and change.finding:
        fresh = opened(episode, change.finding)
        return [_again(stored, fresh) if stored else fresh]
    if stored is None:  # somebody deleted it
        return [over(episode, now, change.why)] if change.what == "over" else []
    evidence = replace(stored.read(AlertEvidence), **course(episode))
    if change.finding:
        evidence = replace(evidence, latest=in_words(change.finding))
    alert = replace(stored, evidence=evidence, severity=episode.severity)
    if change.what == "over":
        return [alert, over(episode, now, change.why)]
    return [alert, back(episode, now)] if change.what == "again" else [alert]


def _again(stored: Decision, fresh: Decision) -> Decision:
    """An alert that was stored in this turn before, with what only its first opening knew."""
    before, new = stored.read(AlertEvidence), fresh.read(AlertEvidence)
    kept = replace(new, latest=before.latest, explanation=before.explanation, episode=before.episode)
    return replace(fresh, evidence=kept)


def shown(session: Session, signals: Sequence[Signal], now: datetime) -> list[Decision]:
    """The alerts that are open after this window, worst first, then those that end with it.

    Stores nothing. A window before that of the last turn is judged by itself.
    """
    known = session.store.state.read(Episodes)
    if known.at and now < known.at:
        known = Episodes()
    after, changes = weigh(session, signals, now, known)
    told = {c.episode.key: decisions(session, c, now) for c in changes}
    still = [told.get(e.key) or _stored(session.store, e.key) for e in after.open]
    open_ = [d for found in still for d in found if d.verdict == "alert"]
    ends = [d for found in told.values() for d in found if d.verdict == "over"]
    return [*sorted(open_, key=lambda d: -ORDER.index(d.severity)), *ends]


def open_alerts(store: Store) -> list[Decision]:
    """Every alert that is open after the last turn, worst first, and of these the newest."""
    found = [d for e in store.state.read(Episodes).open for d in _stored(store, e.key)]
    return sorted(found, key=lambda d: (-ORDER.index(d.severity), -d.timestamp.timestamp()))


def recent(store: Store, since: datetime, now: datetime) -> list[Decision]:
    """The alerts that were open at some time of [since, now], as they stand now."""
    found = {
        d.key: d for d in (*open_alerts(store), *alerts_since(store, since, now)) if d.timestamp <= now
    }
    told = found.values()  # older stores have an alert a window, and know no last one
    episodes = [d for d in told if d.read(AlertEvidence).last]
    return sorted(episodes, key=lambda d: (d.timestamp, d.key))


def _stored(store: Store, key: str) -> list[Decision]:
    found = store.decisions.get(key)
    return [found] if found else []


def alerts_since(store: Store, since: datetime, now: datetime) -> list[Decision]:
    """The alerts that were bad in some window of (since, now], by the last such window.

    One that was open before and stays so is among them.
    """
    told = store.decisions.read("monitoring", since=since)
    keys = {d.key for d in told if d.verdict == "alert"}
    keys |= {d.read(AlertEndEvidence).alert for d in told if d.verdict == "over"}
    keys |= {e.key for e in store.state.read(Episodes).open}
    found = [(last_seen(d), d.key, d) for k in keys if (d := store.decisions.get(k))]
    return [d for when, _, d in sorted(found, key=lambda x: x[:2]) if since < when <= now]


def alerts_a_week(store: Store, now: datetime) -> Signal:
    """How much is asked of the people who read alerts."""
    start = now - timedelta(days=FATIGUE_DAYS)
    watched = store.signals.read(start, "rows", now, segment="")
    return fatigue(
        store.decisions.read("monitoring", start), watched[0].window_end if watched else None, now
    )


def deliver(session: Session, now: datetime) -> None:
    """Tell each channel what it has not been told.

    What fails is logged and tried again at the next turn. At least once: killed after a message and
    before its mark is stored, it is sent again.
    """
    episodes = session.store.state.read(Episodes).episodes
    stored = session.store.state.read(ToldAlerts).levels
    told: dict[str, dict[str, str]] = {e.key: stored.get(e.key, {}) for e in episodes}
    for channel in session.channels:
        for episode in episodes:
            level = due(episode, channel, told[episode.key], now)
            if level is None:
                continue
            if not _tell(session, channel, episode, level):
                break  # the next would wait as long for as little
            told[episode.key] = {**told[episode.key], channel.name: level}
            session.store.state.write(ToldAlerts(told))


def _tell(session: Session, channel: Channel, episode: Episode, level: Level) -> bool:
    alert = session.store.decisions.get(episode.key)
    if alert is None:  # somebody deleted it
        return True
    end = session.store.decisions.get(f"{episode.key}/over") if level == "over" else None
    try:
        channel.send(message(session.workspace.root.resolve().name, level, alert, end))
    except DeliveryError as fault:
        log.warning("alert not delivered to %s, tried again next turn: %s", channel.name, fault)
        return False
    return True
