"""When a signal breaks its rule: an alert, in words, with the numbers and the next command."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.records import Decision, Severity, Signal
from monitoring import Monitoring

KINDS = {
    "rows": "quality",
    "expectations.failed": "quality",
    "expectations.broken": "quality",
    "drift.embeddings": "drift",
    "drift.labels": "drift",
    "confidence": "confidence",
    "accuracy.audit": "accuracy",
    "accuracy.ipw": "accuracy",
}
_SHARE = "{value:.3f} (95 % interval {low:.3f}..{high:.3f}), less than {baseline:.3f}"
WORDS = {
    "rows": "traffic: {value:,.0f} rows, fewer than {baseline:,.0f}",
    "expectations.failed": "data quality: {value:.1%} of rows fail a check, more than {baseline:.1%}",
    "expectations.broken": "data quality: {value:.0f} checks could not run on this data",
    "drift.embeddings": "drift of embeddings: MMD^2 {value:.4f}, more than {baseline:.4f}",
    "drift.labels": "drift of predicted labels: L1 {value:.2f}, more than {baseline:.2f}",
    "confidence": "confidence: mean {value:.3f}, less than {baseline:.3f}",
    "accuracy.audit": f"accuracy on audit labels: {_SHARE}",
    "accuracy.ipw": f"accuracy on all labels, weighted: {_SHARE}",
}
NEXT = "everloop monitor --report"


def broken(signal: Signal) -> bool:
    """Does the signal break its rule? Only the stored signal is needed to say so.

    >>> at = datetime(2026, 1, 5)
    >>> broken(Signal("drift.labels", at, at, 0.6, "L1", baseline=0.5))
    True
    >>> broken(Signal("accuracy.audit", at, at, 0.7, "share", baseline=0.8, low=0.5, high=0.9))
    False
    """
    if signal.value is None or signal.baseline is None or signal.segment:
        return False
    if KINDS.get(signal.name) == "accuracy":
        return signal.high is not None and signal.high < signal.baseline
    if signal.name in ("rows", "confidence"):
        return signal.value < signal.baseline
    return signal.name in KINDS and signal.value > signal.baseline


def alerts(signals: Sequence[Signal], settings: Monitoring, now: datetime) -> list[Decision]:
    """One decision for each broken rule; deciding again about the same window replaces, never adds."""
    return [_alert(s, settings, now) for s in signals if broken(s)]


def _alert(signal: Signal, settings: Monitoring, now: datetime) -> Decision:
    what = WORDS[signal.name].format(**_numbers(signal))
    evidence = {
        "signal": signal.name,
        "kind": KINDS[signal.name],
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
    if KINDS[signal.name] == "accuracy" or signal.name == "expectations.broken":
        return "critical"
    far = value <= 0 if signal.name == "rows" else value > settings.critical * baseline
    return "critical" if far else "warning"


def _numbers(signal: Signal) -> dict[str, float]:
    found = {n: getattr(signal, n) for n in ("value", "baseline", "low", "high")}
    return {n: x for n, x in found.items() if x is not None}
