"""How much the model is surprised by what people say is right: the mean negative log-probability of a
token of the demonstrations, under the champion. It rises where the truth changes.

They are those of the window's requests and of the window's before, whose answers people write
meanwhile. Each is one pass of the network, without examples, so a few are read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.records.signals import Signal
from core.tasks import GENERATION
from monitoring.view import Spec, View

FEWEST, MOST = 5, 8  # demonstrations
PERPLEXITY = Spec("output.perplexity", "nats a token", "accuracy", tasks=(GENERATION,), held=False)
SPECS = (PERPLEXITY,)


def measure(view: View) -> Iterator[Signal]:
    """Of all traffic only."""
    if view.segment:
        return
    labelled = view.window if view.labelled is None else view.labelled
    since = view.window.start - (view.window.end - view.window.start)
    late = (labelled.rows["timestamp"] >= since) & labelled.rows["truth"].notna()
    known = np.flatnonzero(late.to_numpy())
    if view.model.surprise is None:
        yield view.signal(PERPLEXITY, None, "not comparable: the model cannot read right answers")
        return
    if len(known) < FEWEST:
        note = f"not enough rows: {len(known)} demonstrations, {FEWEST} needed"
        yield view.signal(PERPLEXITY, None, note)
        return
    few = labelled.take(known[np.linspace(0, len(known) - 1, min(MOST, len(known))).astype(int)])
    found = view.model.surprise(few)
    sound = found[np.isfinite(found)]
    if len(sound):
        note = f"{len(sound)} of {len(known)} demonstrations, perplexity {np.exp(sound.mean()):.3g}"
        yield view.signal(PERPLEXITY, float(sound.mean()), note)
    else:
        yield view.signal(PERPLEXITY, None, "not comparable: no right answer fits into the context")
