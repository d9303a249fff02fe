"""How bad a finding is: what is proven to cost answers, what may, and what only changed."""

from __future__ import annotations

from collections.abc import Iterable

from core.records.decisions import Severity
from core.records.signals import Signal
from monitoring.alerts.findings import Finding, spec_of
from monitoring.limits import CRITICAL

ORDER: tuple[Severity, ...] = ("info", "warning", "critical")
COSTLY = ("accuracy", "confidence", "feedback")  # kinds that speak of wrong answers


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
