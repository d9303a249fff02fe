"""An alert as a stored decision: in words, with the numbers, and with the next command to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from core.episodes import Episode
from core.evidence import AlertEndEvidence, AlertEvidence
from core.records.decisions import Decision
from core.records.signals import Signal
from core.texts import counted
from monitoring.alerts.findings import FATIGUE, Finding, placed, spec_of

FATIGUE_DAYS = 28
RETRAIN = 'everloop retrain --reason "{signal} since {day}"'
PLOT = "everloop signals {signal}{segment} --since 14d --plot"
NEXT = {
    "quality": "everloop monitor --now {end} --report",
    "accuracy": RETRAIN,
    "confidence": "everloop label export tasks.csv",
    "feedback": "everloop label export tasks.csv",
}


def opened(episode: Episode, finding: Finding) -> Decision:
    """The alert of an episode as it begins."""
    signal, spec = finding.signal, spec_of(episode.signal)
    return Decision(
        key=episode.key,
        stage="monitoring",
        timestamp=episode.opened,
        verdict="alert",
        reason=in_words(finding),
        evidence=AlertEvidence(
            signal=signal.name,
            segment=signal.segment,
            kind=spec.kind,
            unit=signal.unit,
            reference=signal.reference,
            rules=finding.rules,
            window_start=signal.window_start,
            window_end=signal.window_end,
            value=signal.value,
            baseline=signal.baseline,
            low=signal.low,
            high=signal.high,
            command=next_command(episode, spec.kind, signal.window_end),
            **course(episode),
        ),
        severity=episode.severity,
    )


def in_words(finding: Finding) -> str:
    words, segment = "; ".join(finding.words), finding.signal.segment
    return f"{segment}: {words}" if segment else words


def course(episode: Episode) -> dict[str, Any]:
    """How it goes on: what changes in the alert's evidence while it is open."""
    return {"last": episode.last, "windows": episode.windows, "over": episode.over}


def over(episode: Episode, now: datetime, why: str) -> Decision:
    """The end of an episode, beside its alert."""
    ended = episode.over or now
    lasted = length(ended - episode.opened)
    windows = counted(episode.windows, "window")
    place = placed(episode.signal, episode.segment)
    return Decision(
        key=f"{episode.key}/over",
        stage="monitoring",
        timestamp=now,
        verdict="over",
        reason=f"{place}: {why} after {lasted}, bad in {windows} since {episode.opened:%Y-%m-%d %H:%M}",
        evidence=AlertEndEvidence(
            alert=episode.key,
            signal=episode.signal,
            segment=episode.segment,
            kind=spec_of(episode.signal).kind,
            opened=episode.opened,
            **course(episode),
        ),
    )


def back(episode: Episode, now: datetime) -> Decision:
    """What takes the place of an end that was none: bad again within the cool-down."""
    ended = over(episode, now, "bad again")
    return replace(ended, verdict="again")


def next_command(episode: Episode, kind: str, end: datetime) -> str:
    """What to run about it, ready to paste."""
    known = (
        NEXT["confidence"] if kind == "drift" and episode.severity != "info" else NEXT.get(kind, PLOT)
    )
    return known.format(
        signal=episode.signal,
        segment=f' --segment "{episode.segment}"' if episode.segment else "",
        day=f"{episode.opened:%Y-%m-%d}",
        end=f"{end:%Y-%m-%dT%H:%M}",
    )


def fatigue(alerts: Sequence[Decision], oldest: datetime | None, now: datetime) -> Signal:
    """Alerts a week over the last FATIGUE_DAYS, or over as many as there was monitoring."""
    start = now - timedelta(days=FATIGUE_DAYS)
    since = max(start, oldest) if oldest else now
    weeks = (now - since) / timedelta(weeks=1)
    told = sum(a.verdict == "alert" and start <= a.timestamp < now for a in alerts)
    value = told / weeks if weeks >= 1 else None
    note = f"{told} in {length(now - since)}"
    short = f"not enough history: {length(now - since)} of 7 days"
    return Signal(
        FATIGUE.name, start, now, value, FATIGUE.unit, note=note if value is not None else short
    )


def describe(alert: Decision) -> list[str]:
    """What else is known of an alert: which kind of drift it is, what explains it, what to run next."""
    seen = alert.read(AlertEvidence)
    kind = [f"{seen.episode['kind']}: {seen.episode['reason']}"] if seen.episode else []
    lines = [*kind, *(seen.explanation or ())]
    return [*lines, f"next: {seen.command}"] if seen.command else lines


def length(span: timedelta) -> str:
    """A stretch of time in words.

    >>> length(timedelta(days=3)), length(timedelta(hours=30)), length(timedelta(days=1))
    ('3 days', '30 hours', '1 day')
    """
    hours = max(0, round(span / timedelta(hours=1)))
    whole = hours >= 96 or (hours and hours % 24 == 0)
    count, unit = (round(hours / 24), "day") if whole else (hours, "hour")
    return counted(count, unit)
