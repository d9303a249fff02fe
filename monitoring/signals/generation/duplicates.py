"""Answers that are nearly those to other requests: a model that has collapsed says one thing to all."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.quality.neighbours import GROUP
from monitoring.signals.means import mean
from monitoring.view import Spec, View

DUPLICATES = Spec(
    "output.duplicates",
    "share",
    "proxy",
    "above",
    f"near-duplicates: {{value:.1%}} of answers have one among {GROUP - 1} others, "
    "more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (DUPLICATES,)


def measure(view: View) -> Iterator[Signal]:
    ours, theirs = (w.rows["duplicate"] for w in view.outputs)
    yield mean(view, DUPLICATES, ours, theirs, f"of {GROUP} or more together")
