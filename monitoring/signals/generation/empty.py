"""Answers without a word in them."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.signals.means import rise
from monitoring.view import Spec, View

EMPTY = Spec(
    "output.empty",
    "share",
    "quality",
    "above",
    "empty answers: {value:.1%}, more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (EMPTY,)


def measure(view: View) -> Iterator[Signal]:
    yield rise(view, EMPTY, *(w.rows["empty"] for w in view.outputs))
