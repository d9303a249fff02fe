"""Broken rules as alerts: in words, with the numbers, how bad, and the next command to run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from core.episodes import Episode
from core.records import Decision, Severity, Signal
from monitoring.alerts.rules import Range, Rule, Verdict
from monitoring.limits import CRITICAL
from monitoring.signals import SPECS
from monitoring.view import Spec

FATIGUE = Spec("alerts.week", "alerts", "system")
SIGNALS = {**SPECS, FATIGUE.name: FATIGUE}  # every one, by name
FATIGUE_DAYS = 28
COSTLY = ("accuracy", "confidence", "feedback")  # kinds that speak of wrong answers
ORDER: tuple[Severity, ...] = ("info", "warning", "critical")
RETRAIN = 'everloop retrain --reason "{signal} since {day}"'
PLOT = "everloop signals {signal}{segment} --since 14d --plot"
NEXT = {
    "quality": "everloop monitor --now {end} --report",
    "accuracy": RETRAIN,
    "confidence": "everloop label export tasks.csv",
    "feedback": "everloop label export tasks.csv",
}
Past = Callable[[Rule, Signal], Sequence[Signal]]


@dataclass(frozen=True)
class Finding:
    """A signal that breaks one rule or several."""

    signal: Signal
    words: list[str]
    rules: list[str]  # their policies
    asked: list[Severity | None] = field(default_factory=list)  # what each of them says of severity

    @property
    def place(self) -> tuple[str, str]:
        return self.signal.name, self.signal.segment


def spec_of(name: str) -> Spec:
    """What is known of a signal; one that nobody described is somebody's own."""
    return SIGNALS.get(name) or Spec(name, "", "proxy")


def findings(signals: Sequence[Signal], rules: Sequence[Rule], past: Past) -> list[Finding]:
    """Every signal that is bad: by its own limit, or by a rule of params.yaml."""
    found: dict[tuple[str, str], Finding] = {}
    for signal in signals:
        if signal.value is None:
            continue
        broken = [(r, v) for r, v in _verdicts(signal, rules, past) if v.broken]
        if broken:
            found[signal.name, signal.segment] = Finding(
                signal,
                [v.words for _, v in broken],
                [r.policy if isinstance(r, Range) else type(r).__name__.lower() for r, _ in broken],
                [r.severity for r, _ in broken],
            )
    return list(found.values())


def broken(signal: Signal) -> bool:
    """Is it bad by its own limit? Only the stored signal is needed to say so."""
    return bool(findings([signal], (), lambda _rule, _signal: ()))


def unsaid(signals: Sequence[Signal], rules: Sequence[Rule], past: Past) -> list[str]:
    """What rules could not say, and why: no history yet, or no such signal."""
    known = {(s.name, s.segment): s for s in signals}
    notes = []
    for rule in rules:
        place = _place(rule.signal, rule.segment)
        signal = known.get((rule.signal, rule.segment))
        if signal is None:
            notes.append(f"{place}: a rule is there, and no such signal in this window")
        elif signal.value is not None:
            verdict = rule.judge(signal, spec_of(signal.name).bad, past(rule, signal))
            notes += [f"{place}: {verdict.words}"] if verdict.words and not verdict.broken else []
    return notes


def unproven(signals: Sequence[Signal]) -> str:
    """Why nobody can call this window healthy, and what to do: no signal of drift that could alarm has
    a value. "" where one has.

    >>> from datetime import UTC, datetime
    >>> at, note = datetime(2026, 1, 5, tzinfo=UTC), "not enough reference: 0 rows, 100 needed"
    >>> unproven([Signal("drift.labels", at, at, None, "L1", note=note)]).partition(";")[0]
    'not enough traffic yet: 0 of 100 rows to compare with'
    """
    if not signals:
        return "no window was looked at lately: everloop loop"
    specs = [(s, spec_of(s.name)) for s in signals if not s.segment]
    alarming = [s for s, spec in specs if spec.kind == "drift" and spec.bad]
    if not alarming or any(s.value is not None for s in alarming):
        return ""
    note = alarming[0].note
    if found := re.fullmatch(r"not enough rows: (\d+), (\d+) needed", note):
        said = "not enough traffic yet: {} of {} rows in this window".format(*found.groups())
        return f"{said}; monitoring.window_hours makes it longer"
    if found := re.fullmatch(r"not enough reference: (\d+) rows, (\d+) needed", note):
        said = "not enough traffic yet: {} of {} rows to compare with".format(*found.groups())
        return f"{said}; monitoring.reference: training compares with the training rows until then"
    return f"not enough traffic yet: {note}"


def _verdicts(signal: Signal, rules: Sequence[Rule], past: Past) -> Iterable[tuple[Rule, Verdict]]:
    spec = spec_of(signal.name)
    if spec.bad and not signal.segment:
        own: Rule = Range(policy="range", signal=signal.name)
        verdict = own.judge(signal, spec.bad, ())
        yield own, replace(verdict, words=_words(signal, spec)) if verdict.broken else verdict
    for rule in rules:
        if (rule.signal, rule.segment) == (signal.name, signal.segment):
            yield rule, rule.judge(signal, spec.bad, past(rule, signal))


def _words(signal: Signal, spec: Spec) -> str:
    return "; ".join(p for p in (spec.words.format(**_numbers(signal)), signal.note) if p)


def severity(finding: Finding, others: Iterable[Finding]) -> Severity:
    """The worst that its rules ask for, or by its kind where a rule asks for none."""
    usual = _usual(finding, others)
    return max((asked or usual for asked in finding.asked or [None]), key=ORDER.index)


def _usual(finding: Finding, others: Iterable[Finding]) -> Severity:
    """Proven to cost answers is critical, what may cost some a warning, other change is info."""
    signal, kind = finding.signal, spec_of(finding.signal.name).kind
    if kind == "accuracy" or signal.name == "expectations.broken":
        return "critical"
    if kind in ("drift", "proxy"):
        costs = any(spec_of(o.signal.name).kind in COSTLY for o in others)
        return "warning" if costs or _far(signal) else "info"
    return "critical" if _far(signal) and kind not in COSTLY else "warning"


def _far(signal: Signal) -> bool:
    value, baseline = signal.value or 0.0, signal.baseline
    if spec_of(signal.name).bad == "below":
        return value <= 0
    return baseline is not None and value > CRITICAL * baseline


def opened(episode: Episode, finding: Finding) -> Decision:
    """The alert of an episode as it begins."""
    signal, spec = finding.signal, spec_of(episode.signal)
    return Decision(
        key=episode.key,
        stage="monitoring",
        timestamp=episode.opened,
        verdict="alert",
        reason=in_words(finding),
        evidence={
            "signal": signal.name,
            "segment": signal.segment,
            "kind": spec.kind,
            "unit": signal.unit,
            "reference": signal.reference,
            "rules": finding.rules,
            "window_start": signal.window_start.isoformat(),
            "window_end": signal.window_end.isoformat(),
            **_numbers(signal),
            **course(episode),
            "next": next_command(episode, spec.kind, signal.window_end),
        },
        severity=episode.severity,
    )


def in_words(finding: Finding) -> str:
    words, segment = "; ".join(finding.words), finding.signal.segment
    return f"{segment}: {words}" if segment else words


def course(episode: Episode) -> dict[str, Any]:
    """How it goes on: what changes in the alert's evidence while it is open."""
    over = episode.over.isoformat() if episode.over else None
    return {"last": episode.last.isoformat(), "windows": episode.windows, "over": over}


def over(episode: Episode, now: datetime, why: str) -> Decision:
    """The end of an episode, beside its alert."""
    ended = episode.over or now
    lasted = length(ended - episode.opened)
    windows = f"{episode.windows} window{'s' if episode.windows > 1 else ''}"
    place = _place(episode.signal, episode.segment)
    return Decision(
        key=f"{episode.key}/over",
        stage="monitoring",
        timestamp=now,
        verdict="over",
        reason=f"{place}: {why} after {lasted}, bad in {windows} since {episode.opened:%Y-%m-%d %H:%M}",
        evidence={
            "alert": episode.key,
            "signal": episode.signal,
            "segment": episode.segment,
            "kind": spec_of(episode.signal).kind,
            "opened": episode.opened.isoformat(),
            **course(episode),
        },
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
    episode, command = alert.evidence.get("episode"), alert.evidence.get("next")
    kind = [f"{episode['kind']}: {episode['reason']}"] if episode else []
    lines = [*kind, *alert.evidence.get("explanation", [])]
    return [*lines, f"next: {command}"] if command else lines


def length(span: timedelta) -> str:
    """A stretch of time in words.

    >>> length(timedelta(days=3)), length(timedelta(hours=30)), length(timedelta(days=1))
    ('3 days', '30 hours', '1 day')
    """
    hours = max(0, round(span / timedelta(hours=1)))
    whole = hours >= 96 or (hours and hours % 24 == 0)
    count, unit = (round(hours / 24), "day") if whole else (hours, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _place(name: str, segment: str) -> str:
    return f"{name} of {segment}" if segment else name


def _numbers(signal: Signal) -> dict[str, float]:
    found = {n: getattr(signal, n) for n in ("value", "baseline", "low", "high")}
    return {n: x for n, x in found.items() if x is not None}
