"""Everything there is to say of a window, one file a subject. The order is that of the picture."""

from monitoring.signals import accuracy, confidence, drift, quality, rows
from monitoring.view import Measure, Spec

MEASURES: tuple[Measure, ...] = (
    rows.measure,
    quality.measure,
    drift.measure,
    confidence.measure,
    accuracy.measure,
)
SPECS: dict[str, Spec] = {
    spec.name: spec for part in (rows, quality, drift, confidence, accuracy) for spec in part.SPECS
}
