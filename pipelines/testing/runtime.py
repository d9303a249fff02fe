"""A candidate on another runtime than torch must give torch's labels, alone and in any batch."""

from __future__ import annotations

from core.models.classifier.agreement import RuntimeAgreement
from pipelines.testing.expectations import Expectation


def same_labels(agreement: RuntimeAgreement) -> Expectation:
    """The agreement as one expectation among the others: its worst way of asking counts."""
    return Expectation(
        name="runtime",
        kind="runtime",
        claim=str(agreement),
        rows=agreement.rows,
        failed=round((1 - agreement.worst) * agreement.rows),
        passed=agreement.passed,
    )
