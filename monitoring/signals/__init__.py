"""Everything there is to say of a window, one file a subject. The order is that of the picture."""

from core.tasks import Task, fits
from monitoring.signals import (
    accuracy,
    collections,
    confidence,
    custom,
    drift,
    feedback,
    generation,
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
    *generation.PARTS,
)
SPECS: dict[str, Spec] = {spec.name: spec for part in PARTS for spec in part.SPECS}


def measures(task: Task) -> list[Measure]:
    """Those that have a signal for this task."""
    return [p.measure for p in PARTS if not p.SPECS or any(fits(spec, task) for spec in p.SPECS)]
