"""Data quality: the share of rows that fail a named check, and the checks that could not run."""

from __future__ import annotations

from collections.abc import Iterator

from core.records import Signal
from monitoring.expectations import check
from monitoring.view import Spec, View

FAILED = Spec(
    "expectations.failed",
    "share",
    "quality",
    bad="above",
    words="data quality: {value:.1%} of rows fail a check, more than {baseline:.1%}",
)
BROKEN = Spec(
    "expectations.broken",
    "checks",
    "quality",
    bad="above",
    words="data quality: {value:.0f} checks could not run on this data",
)
SPECS = (FAILED, BROKEN)


def measure(view: View) -> Iterator[Signal]:
    if len(view.window) == 0:
        note = "not enough rows: 0"
        yield view.signal(FAILED, None, note, held=False)
        yield view.signal(BROKEN, None, note, held=False)
        return
    checks = check(view.window, set(view.model.known), view.settings.max_length)
    errors = [c for c in checks if c.error]
    bad = {i for c in checks for i in c.failed}
    schema = any(c.name == "schema" and not c.passed and not c.error for c in checks)
    counts = [f"{c.name} {len(c.failed) or 'failed'}" for c in checks if not c.passed and not c.error]
    share = 1.0 if schema else len(bad) / len(view.window)
    why = "; ".join(f"{c.name}: {c.error}" for c in errors)
    yield view.signal(FAILED, share, ", ".join(counts), baseline=view.settings.failed_share, held=False)
    yield view.signal(BROKEN, float(len(errors)), why, baseline=0.0, held=False)
