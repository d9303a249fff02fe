"""Everything there is to say of a window, one file a subject. The order is that of the picture."""

from monitoring.signals import (
    accuracy,
    collections,
    confidence,
    custom,
    drift,
    feedback,
    quality,
    rows,
    system,
    texts,
)
from monitoring.view import Measure, Spec

PARTS = (
    rows,
    quality,
    drift,
    confidence,
    accuracy,
    collections,
    feedback,
    texts,
    system,
    custom,
)
MEASURES: tuple[Measure, ...] = tuple(part.measure for part in PARTS)
SPECS: dict[str, Spec] = {spec.name: spec for part in PARTS for spec in part.SPECS}
