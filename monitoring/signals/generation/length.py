"""How long answers are, and how many ran out of tokens before their end."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.signals.means import mean, rise
from monitoring.view import Spec, View

LENGTH = Spec(
    "output.length",
    "characters",
    "proxy",
    "above",
    "answers: {value:,.0f} characters on average, more than {baseline:,.0f}",
    (GENERATION,),
)
CUT = Spec(
    "output.cut",
    "share",
    "quality",
    "above",
    "cut answers: {value:.1%} ran out of tokens, more than {baseline:.1%}",
    (GENERATION,),
)
SPECS = (LENGTH, CUT)


def measure(view: View) -> Iterator[Signal]:
    ours, theirs = (w.rows for w in view.outputs)
    yield mean(view, LENGTH, ours["characters"], theirs["characters"])
    yield rise(view, CUT, ours["cut"], theirs["cut"])
