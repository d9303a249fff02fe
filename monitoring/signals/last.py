"""Accuracy of a single window: the newest one that has labels, which is seldom the one just over.

`accuracy.last.picks` is how often the labelled answers were right. It is what a table of labels
would say, and it is off, since doubtful answers are picked more often. `accuracy.last.ipw` weighs
them by their chance of being picked; `accuracy.last.powered` lets them correct what is predicted of
all answers. A day has few labels, so the intervals (95 %, for one look) are wide and nothing alarms.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from core.records import Array, Signal, Window
from monitoring.estimates.answers import Answers, answers_of, joined
from monitoring.estimates.calibration import fit
from monitoring.estimates.weighted import spread_of
from monitoring.estimates.window import Asked, accuracies, drawn
from monitoring.signals.estimated import ends, labelled_answers
from monitoring.view import Spec, View

FEWEST = 3  # labels of a window; from fewer an interval is nearly 0..1
DAY = timedelta(days=1)
PICKS = Spec("accuracy.last.picks", "share", "accuracy")
WEIGHTED = Spec("accuracy.last.ipw", "share", "accuracy")
POWERED = Spec("accuracy.last.powered", "share", "accuracy")
SPECS = (PICKS, WEIGHTED, POWERED)


def measure(view: View) -> Iterator[Signal]:
    known = labelled_answers(view)
    picked = known.take(drawn(known))
    end = _newest(view, picked)
    rows = [] if end is None else _between(view, end - _length(view), end)
    if end is None or not sum(map(len, rows)):
        needed = f"{FEWEST} of one window of the last {view.settings.accuracy_days} days needed"
        for spec in SPECS:
            yield view.signal(spec, None, f"not enough labels that were drawn: {needed}", held=False)
        return
    start = end - _length(view)
    here = picked.take((picked.days >= start) & (picked.days < end))
    asked = Asked(
        joined(*(answers_of(w.even()) for w in rows)), _requests(rows), _spread(view, picked, end)
    )
    found = accuracies(asked, here, fit(known.take(known.days < start)))
    about = f"{len(here)} labels of the window until {_written(end)}"
    off = f"{about}, picked for being doubtful: not the accuracy of all"
    yield view.signal(PICKS, found.picks, off, held=False)
    weighted, powered, (low, high) = found.weighted, found.powered, found.powered.once
    yield view.signal(WEIGHTED, weighted.value, about, low=weighted.low, high=weighted.high, held=False)
    about += f", chances trusted {powered.trust:.0%}"
    yield view.signal(POWERED, powered.value, about, low=low, high=high, held=False)


def _newest(view: View, picked: Answers) -> float | None:
    """The end of the newest window of the last days that has labels enough, in days since 1970."""
    age = np.floor((ends(view) - picked.days) / _length(view))  # 0: the window just over
    ages, labels = np.unique(age[age >= 0], return_counts=True)
    some = ages[(labels >= FEWEST) & (ages * _length(view) < view.settings.accuracy_days)]
    return ends(view) - float(some[0]) * _length(view) if len(some) else None


def _spread(view: View, picked: Answers, end: float) -> float:
    """Of the picks of the days up to the window's end: one window has too few."""
    start = end - view.settings.accuracy_days
    before = picked.take((picked.days >= start) & (picked.days < end))
    return spread_of(before.chance, _requests(_between(view, start, end)))


def _between(view: View, start: float, end: float) -> list[Window]:
    """The rows of [start, end) that were read."""
    given = [view.recent] if view.recent is not None else [view.whole_reference, view.whole]
    first, last = (datetime.fromtimestamp(round(d * 86400), UTC) for d in (start, end))
    found = [w.take(_within(w, first, last)) for w in given if len(w)]
    return [w for w in found if len(w)]


def _within(window: Window, start: datetime, end: datetime) -> Array:
    times = window.rows["timestamp"]
    return ((times >= start) & (times < end)).to_numpy(dtype=bool)


def _requests(rows: list[Window]) -> float:
    """How many there were, where the log or the reading of it left some out."""
    return float(sum((1 / w.kept).sum() / w.share for w in rows))


def _length(view: View) -> float:
    return max((view.whole.end - view.whole.start) / DAY, 1 / 24)


def _written(day: float) -> str:
    return f"{datetime.fromtimestamp(round(day * 86400), UTC):%Y-%m-%d %H:%M}"
