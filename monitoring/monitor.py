"""One pass over a window of traffic: every signal, of all of it and of its larger segments.

`Signal.baseline` is the bound its value is held against, so a rule can be read off the stored signal
(see monitoring/alerts). A signal without a value breaks no rule; its note says why there is none.
"""

from __future__ import annotations

from itertools import chain

from core.records.signals import Signal
from monitoring.signals import MEASURES, SPECS, collections
from monitoring.signals.drift import asked
from monitoring.view import View

NEEDED = (
    "timestamp",
    "model_version",
    "output",
    "confidence",
    "encoder",
    "score",
    "audit",
    "propensity",
)
SOUND = [*(s for s in SPECS.values() if s.kind == "quality"), *collections.SPECS]


def observe(view: View) -> list[Signal]:
    """The signals of a view and of its segments, or why there are none."""
    missing = _missing(view)
    if not missing:
        parts = chain([view], view.segments())  # one after the other: each holds rows of its own
        return [s for part in parts for measure in MEASURES for s in measure(part)]
    note = f"not comparable: no column {', '.join(missing)}"
    sound = [s for measure in (*MEASURES[:2], collections.measure) for s in measure(view)]
    others = [s for s in SPECS.values() if s not in SOUND and asked(s, view.settings.metrics)]
    return sound + [view.signal(s, None, note) for s in others]


def _missing(view: View) -> list[str]:
    found = [set(w.rows.columns) for w in (view.window, view.reference) if len(w)]
    return [c for c in NEEDED if any(c not in columns for columns in found)]
