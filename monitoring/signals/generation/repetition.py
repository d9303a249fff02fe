"""Answers that say the same again and again: how language models fail (Welleck et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.quality.texts import GRAM
from monitoring.signals.means import ratio
from monitoring.view import Spec, View

REPETITION = Spec(
    "output.repetition",
    "share",
    "proxy",
    "above",
    "answers repeat themselves: {value:.1%} of their runs of words, more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (REPETITION,)


def measure(view: View) -> Iterator[Signal]:
    ours, theirs = ((w.rows["repeated"], w.rows["grams"]) for w in view.outputs)
    yield ratio(view, REPETITION, ours, theirs, f"of answers of {GRAM} words and more")
