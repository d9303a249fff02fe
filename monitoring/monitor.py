"""One pass over a window of traffic: every signal, of all of it and of its larger segments.

`Signal.baseline` is the bound its value is held against, so a rule can be read off the stored signal
(see monitoring/alerts). A signal without a value breaks no rule; its note says why there is none.
"""

from __future__ import annotations

from itertools import chain

from core.records.signals import Signal
from core.tasks import fits
from monitoring.signals import SPECS, measures
from monitoring.view import View


def observe(view: View) -> list[Signal]:
    """The signals of a view and of its segments, as far as they are of its task."""
    parts = chain([view], view.segments())  # one after the other: each holds rows of its own
    told = (s for part in parts for measure in measures(view.task) for s in measure(part))
    return [s for s in told if fits(SPECS.get(s.name), view.task)]
