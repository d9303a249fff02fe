"""Data quality: the share of rows that fail a named check, and the checks that could not run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core.records.signals import Signal
from monitoring.limits import FAILED_SHARE
from monitoring.quality.checks import Check
from monitoring.view import Spec, View


def _spec(name: str, unit: str, words: str) -> Spec:
    return Spec(f"expectations.{name}", unit, "quality", "above", f"data quality: {words}", held=False)


FAILED = _spec("failed", "share", "{value:.1%} of rows fail a check, more than {baseline:.1%}")
BROKEN = _spec("broken", "checks", "{value:.0f} checks could not run on this data")
SPECS = (FAILED, BROKEN)


def measure(view: View) -> Iterator[Signal]:
    if len(view.window) == 0:
        note = "not enough rows: 0"
        yield view.signal(FAILED, None, note)
        yield view.signal(BROKEN, None, note)
        return
    checks = [_of(view, c) for c in view.checks]
    errors = [c for c in checks if c.error]
    bad = {i for c in checks for i in c.failed}
    whole = any(not c.passed and not c.error and not c.failed for c in view.checks)
    share = 1.0 if whole else len(bad) / len(view.window)
    failed = [c for c in checks if not c.passed and not c.error]
    counts = [f"{c.name} {len(c.failed) or 'failed'}" for c in failed]
    why = "; ".join(f"{c.name}: {c.error}" for c in errors)
    yield view.signal(FAILED, share, ", ".join(counts), baseline=FAILED_SHARE)
    yield view.signal(BROKEN, float(len(errors)), why, baseline=0.0)


def _of(view: View, check: Check) -> Check:
    """What a check says of the view's rows: a segment without any of the failed ones passes it."""
    if view.parent is None or not check.failed:
        return check
    mine = set(view.window.rows["request_id"]).intersection(check.failed)
    return replace(check, failed=tuple(i for i in check.failed if i in mine), passed=not mine)
