"""Answers that break their form: no JSON where JSON is asked for, or JSON against its schema."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.signals.means import rise
from monitoring.view import Spec, View

BROKEN = Spec(
    "output.schema",
    "share",
    "quality",
    "above",
    "broken answers: {value:.1%} are not the JSON they should be, more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (BROKEN,)


def measure(view: View) -> Iterator[Signal]:
    yield rise(view, BROKEN, *(w.rows["broken"] for w in view.outputs))
