"""When a signal breaks its rule: an alert, in words, with the numbers and the next command."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.records import Decision, Severity, Signal
from monitoring import Monitoring
from monitoring.signals import SPECS

NEXT = "everloop monitor --report"


def broken(signal: Signal) -> bool:
    """Does the signal break its rule? Only the stored signal is needed to say so.

    >>> at = datetime(2026, 1, 5)
    >>> broken(Signal("drift.labels", at, at, 0.6, "L1", baseline=0.5))
    True
    >>> broken(Signal("accuracy.audit", at, at, 0.7, "share", baseline=0.8, low=0.5, high=0.9))
    False
    """
    spec = SPECS.get(signal.name)
    if spec is None or signal.value is None or signal.baseline is None or signal.segment:
        return False
    if spec.bad == "whole":
        return signal.high is not None and signal.high < signal.baseline
    if spec.bad == "below":
        return signal.value < signal.baseline
    return spec.bad == "above" and signal.value > signal.baseline


def alerts(signals: Sequence[Signal], settings: Monitoring, now: datetime) -> list[Decision]:
    """One decision for each broken rule; deciding again about the same window replaces, never adds."""
    return [_alert(s, settings, now) for s in signals if broken(s)]


def _alert(signal: Signal, settings: Monitoring, now: datetime) -> Decision:
    what = SPECS[signal.name].words.format(**_numbers(signal))
    evidence = {
        "signal": signal.name,
        "kind": SPECS[signal.name].kind,
        "unit": signal.unit,
        "window_start": signal.window_start.isoformat(),
        "window_end": signal.window_end.isoformat(),
        **_numbers(signal),
        "next": NEXT,
    }
    return Decision(
        key=f"alert/{signal.name}/{signal.window_end:%Y-%m-%dT%H}",
        stage="monitoring",
        timestamp=now,
        verdict="alert",
        reason="; ".join(part for part in (what, signal.note) if part),
        evidence=evidence,
        severity=_severity(signal, settings),
    )


def _severity(signal: Signal, settings: Monitoring) -> Severity:
    value, baseline = signal.value or 0.0, signal.baseline or 0.0
    if SPECS[signal.name].kind == "accuracy" or signal.name == "expectations.broken":
        return "critical"
    far = value <= 0 if signal.name == "rows" else value > settings.critical * baseline
    return "critical" if far else "warning"


def _numbers(signal: Signal) -> dict[str, float]:
    found = {n: getattr(signal, n) for n in ("value", "baseline", "low", "high")}
    return {n: x for n, x in found.items() if x is not None}
