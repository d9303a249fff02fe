"""What models write: signals of outputs, one file a subject."""

from monitoring.signals.generation import (
    drift,
    duplicates,
    empty,
    faults,
    language,
    length,
    perplexity,
    refusals,
    repetition,
    toxicity,
    unfinished,
)

PARTS = (
    length,
    empty,
    faults,
    refusals,
    repetition,
    duplicates,
    language,
    toxicity,
    perplexity,
    drift,
    unfinished,
)
