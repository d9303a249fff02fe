"""What models write: signals of outputs, one file a subject."""

from monitoring.signals.generation import (
    drift,
    duplicates,
    empty,
    faults,
    length,
    refusals,
    repetition,
)

PARTS = (length, empty, faults, refusals, repetition, duplicates, drift)
