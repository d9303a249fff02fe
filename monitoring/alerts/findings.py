"""Which signals are bad, by their own limits and by rules; and what nobody can say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from core.records.decisions import Severity
from core.records.signals import Signal
from monitoring.alerts.rules.base import Rule, Verdict, judged
from monitoring.alerts.rules.range import RangeRule
from monitoring.signals import SPECS
from monitoring.view import Kind, Spec

FATIGUE = Spec("alerts.week", "alerts", "system")
SIGNALS = {**SPECS, FATIGUE.name: FATIGUE}  # every one, by name
TRUTH, SUSPECTED = "truth", "truth.suspected"  # alerts that labels open, and no signal of a window
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
    kind: Kind = "concept" if name in (TRUTH, SUSPECTED) else "proxy"
    return SIGNALS.get(name) or Spec(name, "", kind)


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
                [r.policy for r, _ in broken],
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
        place = placed(rule.signal, rule.segment)
        signal = known.get((rule.signal, rule.segment))
        if signal is None:
            notes.append(f"{place}: a rule is there, and no such signal in this window")
        elif signal.value is not None:
            verdict = judged(rule, signal, spec_of(signal.name).bad, past(rule, signal))
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
        own: Rule = RangeRule(policy="range", signal=signal.name)
        verdict = judged(own, signal, spec.bad, ())
        yield own, replace(verdict, words=_words(signal, spec)) if verdict.broken else verdict
    for rule in rules:
        if (rule.signal, rule.segment) == (signal.name, signal.segment):
            yield rule, judged(rule, signal, spec.bad, past(rule, signal))


def _words(signal: Signal, spec: Spec) -> str:
    return "; ".join(p for p in (spec.words.format(**vars(signal)), signal.note) if p)


def placed(name: str, segment: str) -> str:
    return f"{name} of {segment}" if segment else name
