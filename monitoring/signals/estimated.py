"""How right the answers were, most of which nobody has labelled.

`accuracy.estimated` needs no label of the window: the mean calibrated chance of its answers (confidence
based performance estimation). It is blind to what its calibration has not met, so it never alarms.
`accuracy.powered` corrects such chances by the labels of the last `accuracy_days` days: right on
average whatever the chances are worth. Its interval holds for all looks at these days while their
labels come in, so that looking every hour finds no more by luck than looking once; the narrower one for
a single look is in the note. It is no promise for all the windows that will ever be: of many windows
side by side one in twenty may be missed.

Both are about answers as they were given, whoever gave them: no label was known by then, so labels that
have trained a model since are as good as any. How the model that serves now would do is
`accuracy.audit`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.records import Signal, Window
from core.sequences import interval
from monitoring.estimates.answers import Answers, answers_of, joined
from monitoring.estimates.calibration import fit
from monitoring.estimates.powered import chained, rectified
from monitoring.estimates.window import drawn
from monitoring.view import Spec, View

MOST = 5000  # answers whose chances are averaged; more say nothing more, labels are the few
ESTIMATED = Spec("accuracy.estimated", "share", "accuracy")
POWERED = Spec(
    "accuracy.powered",
    "share",
    "accuracy",
    "whole",
    "accuracy, predicted and corrected by labels: {value:.3f} "
    "(95 % interval {low:.3f}..{high:.3f}), less than {baseline:.3f}",
)
SPECS = (ESTIMATED, POWERED)


def measure(view: View) -> Iterator[Signal]:
    labelled = labelled_answers(view)
    yield _estimated(view, labelled)
    yield _powered(view, labelled)


def _estimated(view: View, labelled: Answers) -> Signal:
    answers = _some(view.window)
    if not len(answers):
        return view.signal(ESTIMATED, None, "not enough rows: 0 with a score", held=False)
    chances = fit(labelled).chances(answers)
    low, high = interval(chances)
    note = (
        f"no label of the window used; calibrated on {len(labelled)} labels; the interval is that of "
    )
    note += f"the mean of {len(answers):,} chances, not of the calibration"
    return view.signal(ESTIMATED, float(chances.mean()), note, low=low, high=high, held=False)


def _powered(view: View, labelled: Answers) -> Signal:
    if not len(view.whole):
        return view.signal(POWERED, None, "not enough rows: 0", held=False)
    settings, recent = view.settings, _recent(view)
    since = ends(view) - settings.accuracy_days
    picked = np.flatnonzero(drawn(labelled) & (labelled.days >= since))
    if not len(recent) or len(picked) < settings.min_labels:
        note = f"not enough labels: {len(picked)} that were drawn, {settings.min_labels} needed"
        return view.signal(POWERED, None, note, held=False)
    chances, theirs = chained(labelled, recent)
    rows = labelled.take(picked)
    found = rectified(theirs, rows.right, chances[picked], rows.chance)
    once = "{:.3f}..{:.3f}".format(*found.once)
    note = (
        f"{found.labels} labels of {settings.accuracy_days} days, chances trusted {found.trust:.0%}; "
    )
    return view.signal(
        POWERED,
        found.value,
        f"{note}the interval holds for every look; for one look alone {once}",
        baseline=settings.accuracy_floor,
        low=found.low,
        high=found.high,
        held=False,
    )


def labelled_answers(view: View) -> Answers:
    """Every row with a truth that is known of, newest last."""
    given = [view.labelled] if view.labelled is not None else [view.whole_reference, view.whole]
    rows = joined(*(answers_of(w) for w in given))
    return rows.take(np.isfinite(rows.right))


def _recent(view: View) -> Answers:
    """An even draw of the answers of the last days, up to `MOST`."""
    given = [view.recent.even()] if view.recent is not None else [view.reference, view.window]
    rows = joined(*(_some(w) for w in given))
    return rows.take(rows.days >= ends(view) - view.settings.accuracy_days)


def _some(window: Window) -> Answers:
    """Evenly spaced rows of a window, up to `MOST`."""
    step = max(1, -(-len(window) // MOST))
    return answers_of(window.take(np.arange(0, len(window), step)))


def ends(view: View) -> float:
    """The end of the window, in days since 1970."""
    return view.whole.end.timestamp() / 86400
