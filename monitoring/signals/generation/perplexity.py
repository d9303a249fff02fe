"""How much the model is surprised by what people say is right: the mean negative log-probability of a
token of the demonstrations, under the champion. It rises where the truth changes.

A demonstration is read once, whole, beside the examples that its request was answered after; that is
one pass of the network each, so a window reads a few.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.view import Spec, View

FEWEST, MOST = 5, 16  # demonstrations
PERPLEXITY = Spec("output.perplexity", "nats a token", "accuracy", tasks=(GENERATION,), held=False)
SPECS = (PERPLEXITY,)


def measure(view: View) -> Iterator[Signal]:
    """Of all traffic only."""
    if view.segment:
        return
    known = np.flatnonzero(view.window.rows["truth"].notna().to_numpy())
    if view.model.surprise is None:
        yield view.signal(PERPLEXITY, None, "not comparable: the model cannot read right answers")
        return
    if len(known) < FEWEST:
        note = f"not enough rows: {len(known)} demonstrations, {FEWEST} needed"
        yield view.signal(PERPLEXITY, None, note)
        return
    few = view.window.take(known[np.linspace(0, len(known) - 1, min(MOST, len(known))).astype(int)])
    found = view.model.surprise(few)
    sound = found[np.isfinite(found)]
    if len(sound):
        note = f"{len(sound)} of {len(known)} demonstrations, perplexity {np.exp(sound.mean()):.3g}"
        yield view.signal(PERPLEXITY, float(sound.mean()), note)
    else:
        yield view.signal(PERPLEXITY, None, "not comparable: no right answer fits into the context")
