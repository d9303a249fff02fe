"""Answers that nobody finished: their caller left, or the engine broke off. No other signal of outputs
reads them."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.signals.means import rise
from monitoring.view import Spec, View

UNFINISHED = Spec(
    "output.unfinished",
    "share",
    "quality",
    "above",
    "unfinished answers: {value:.1%} were left by their caller or broken off, more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (UNFINISHED,)


def measure(view: View) -> Iterator[Signal]:
    both = (view.window, view.reference)
    yield rise(view, UNFINISHED, *(~view.task.finished(w.rows) for w in both))
