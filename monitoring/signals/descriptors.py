"""The form of the texts, their words apart: how long they are, and how much they repeat themselves."""

from __future__ import annotations

from collections.abc import Iterator

from core.records import Signal
from monitoring.quality.texts import GRAM
from monitoring.signals.means import mean, ratio
from monitoring.view import Spec, View

LENGTH = Spec(
    "text.length",
    "characters",
    "proxy",
    bad="above",
    words="texts: {value:,.0f} characters on average, more than {baseline:,.0f}",
)
REPETITION = Spec(
    "text.repetition",
    "share",
    "proxy",
    bad="above",
    words="texts repeat themselves: {value:.1%} of their runs of words, more than {baseline:.1%}",
)
SPECS = (LENGTH, REPETITION)


def measure(view: View) -> Iterator[Signal]:
    ours, theirs = (s.rows for s in view.sample)
    yield mean(view, LENGTH, ours["characters"], theirs["characters"])
    gram = f"of texts of {GRAM} words and more"
    pairs = ((r["repeated"], r["grams"]) for r in (ours, theirs))
    yield ratio(view, REPETITION, next(pairs), next(pairs), gram)
