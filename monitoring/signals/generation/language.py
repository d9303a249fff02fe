"""Answers in another language than their requests."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.signals.means import rise
from monitoring.view import Spec, View

LANGUAGE = Spec(
    "output.language",
    "share",
    "quality",
    "above",
    "other languages: {value:.1%} of answers are not in their request's, more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (LANGUAGE,)


def measure(view: View) -> Iterator[Signal]:
    yield rise(view, LANGUAGE, *(w.rows["strange"] for w in view.outputs))
