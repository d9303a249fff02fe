"""How new the texts are to the model, and how alike they are to each other."""

from __future__ import annotations

from collections.abc import Iterator

from core.records import Signal
from monitoring.quality.neighbours import GROUP
from monitoring.signals.means import mean
from monitoring.view import Spec, View

NOVELTY = Spec(
    "novelty",
    "cosine",
    "proxy",
    bad="above",
    words="novelty: {value:.3f} from the nearest known text, more than {baseline:.3f}",
)
DUPLICATES = Spec(
    "duplicates",
    "share",
    "proxy",
    bad="above",
    words=f"near-duplicates: {{value:.1%}} of rows have one among {GROUP - 1} others, "
    "more than {baseline:.1%}",
)
SPECS = (NOVELTY, DUPLICATES)


def measure(view: View) -> Iterator[Signal]:
    """The mean cosine distance to the nearest of at most 1,000 rows, labelled ones where there are
    enough; and the share of rows that have a near-duplicate among GROUP - 1 others."""
    ours, theirs = (s.rows for s in view.sample)
    why = "with an embedding that can be held against known ones"
    yield mean(view, NOVELTY, ours["novelty"], theirs["novelty"], why)
    yield mean(view, DUPLICATES, ours["duplicate"], theirs["duplicate"], f"of {GROUP} or more together")
