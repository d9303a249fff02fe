"""Answers that decline to answer, as far as their first words tell (in English)."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.signals.means import rise
from monitoring.view import Spec, View

REFUSED = Spec(
    "output.refusals",
    "share",
    "proxy",
    "above",
    "refusals: {value:.1%} of answers decline, more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (REFUSED,)


def measure(view: View) -> Iterator[Signal]:
    yield rise(view, REFUSED, *(w.rows["refused"] for w in view.outputs))
