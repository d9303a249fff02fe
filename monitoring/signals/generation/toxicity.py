"""How toxic answers are, as a function of the user's says: `monitoring.toxicity`."""

from __future__ import annotations

from collections.abc import Iterator

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.signals.means import mean
from monitoring.view import Spec, View

TOXICITY = Spec(
    "output.toxicity",
    "score",
    "quality",
    "above",
    "toxic answers: {value:.3f} on average, more than {baseline:.3f}",
    (GENERATION,),
)
SPECS = (TOXICITY,)


def measure(view: View) -> Iterator[Signal]:
    if not view.settings.toxicity:
        return
    ours, theirs, fault = view.toxicity
    if fault:
        yield view.signal(TOXICITY, None, f"not comparable: {fault}")
    else:
        yield mean(view, TOXICITY, ours, theirs)
