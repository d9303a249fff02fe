"""How right the answers are, most of which nobody has labelled.

`accuracy` is the share of right answers among those of the last 14 days, whoever gave
them: see monitoring/accuracy/powered.py. Days slide along with the windows; labels count from when they
are there. The same of the answers that the model that serves has given in these days is the segment
`model_version=N`: a promotion does not make past answers right, and a trigger asks about the present.

`accuracy.estimated` needs no label of the window: the mean calibrated chance of its answers (confidence
based performance estimation). It is blind to what its calibration has not met, so it has no interval
and never alarms; `cost-aware` reads it while there is no accuracy yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from core.arrays import Array
from core.records.signals import Signal
from core.records.windows import Window
from monitoring.accuracy.answers import ScoredAnswers, answers_of, joined
from monitoring.accuracy.calibration import fit, prequential_chances
from monitoring.accuracy.powered import DrawnLabels, prediction_powered
from monitoring.limits import ACCURACY_DAYS, MIN_LABELS
from monitoring.view import Spec, View

MOST = 5000  # answers whose chances are averaged; more say nothing more, labels are the few
FEWEST = 4  # even labels that ours must be worth: of fewer, two errors would prove a loss
STAND_FOR = 1 / 3  # of the answers, by labels whose chances are as they were stored: 1 on average
ACCURACY = Spec(
    "accuracy",
    "share",
    "accuracy",
    "whole",
    "accuracy: {value:.3f} (95 % interval {low:.3f}..{high:.3f}), less than {baseline:.3f}",
    held=False,
)
ESTIMATED = Spec("accuracy.estimated", "share", "accuracy", held=False)
SPECS = (ACCURACY, ESTIMATED)


@dataclass(frozen=True)
class Stretch:
    """The answers of the last days, or some of them."""

    picked: ScoredAnswers  # (n,) labelled
    others: ScoredAnswers  # (m,) an even draw of those without a label
    said: tuple[Array, Array]  # (n,) and (m,) predicted chances
    requests: float  # how many answers these are of

    def of(self, version: str, share: float) -> Stretch:
        """What one model has given, `share` of all."""
        sides = [a.version == version for a in (self.picked, self.others)]
        return Stretch(
            self.picked.take(sides[0]),
            self.others.take(sides[1]),
            (self.said[0][sides[0]], self.said[1][sides[1]]),
            self.requests * share,
        )


def measure(view: View) -> Iterator[Signal]:
    known = _labelled(view)
    yield from _accuracy(view, known)
    yield _estimated(view, known)


def _accuracy(view: View, known: ScoredAnswers) -> Iterator[Signal]:
    rows = _between(view)
    if not sum(map(len, rows)):
        yield view.signal(ACCURACY, None, "not enough rows: 0")
        return
    stretch, version = _stretch(view, known, rows), view.model.version
    yield _signal(view, stretch)
    if not view.segment:
        ours = sum(_requests(w.take(_by(w, version))) for w in rows) / stretch.requests
        signal = _signal(view, stretch.of(version, ours))
        yield replace(signal, segment=f"model_version={version}")


def _signal(view: View, stretch: Stretch) -> Signal:
    picked, few, truth = stretch.picked, MIN_LABELS, f"{view.task.truth}s"
    labels = DrawnLabels(picked.right, stretch.said[0], picked.chance, picked.audit)
    if len(labels) < few:
        note = f"not enough {truth}: {len(labels)} that were drawn, {few} needed"
        return view.signal(ACCURACY, None, note)
    about = f"{len(labels)} {truth} of {ACCURACY_DAYS} days"
    if lack := _lack(labels.worth, float((1 / picked.chance).sum()), stretch.requests):
        return view.signal(ACCURACY, None, f"not enough {truth}: {about} {lack}")
    found = prediction_powered(labels, stretch.said[1], stretch.requests)
    note = f"{about}, worth {labels.worth:.0f} drawn evenly; {stretch.requests:,.0f} answers"
    return view.signal(
        ACCURACY,
        found.value,
        note,
        baseline=view.settings.accuracy_floor,
        low=found.low,
        high=found.high,
    )


def _lack(worth: float, stand_for: float, answers: float) -> str:
    """What labels of unequal chances lack to say how right the answers are; "" if nothing."""
    if worth < FEWEST:
        return f"say as much as {worth:.1f} that were drawn evenly, {FEWEST} needed"
    needed = STAND_FOR * answers
    if stand_for < needed:
        return f"stand for {stand_for:,.0f} of {answers:,.0f} answers, {needed:,.0f} needed"
    return ""


def _estimated(view: View, known: ScoredAnswers) -> Signal:
    answers = _some(view.window)
    if not len(answers):
        return view.signal(ESTIMATED, None, "not enough rows: 0 with a score")
    chances = fit(known).chances(answers)
    note = f"mean chance of {len(answers):,} answers, calibrated on {len(known)} {view.task.truth}s"
    return view.signal(ESTIMATED, float(chances.mean()), note)


def _stretch(view: View, known: ScoredAnswers, rows: list[Window]) -> Stretch:
    """Labels count that were drawn: nobody knows what others stand for."""
    picked = known.take(known.drawn & (known.days >= _since(view).timestamp() / 86400))
    others = joined(*(_some(w.even()) for w in rows))
    others = others.take(~others.drawn)
    said = prequential_chances(known, joined(picked, others))
    parts = said[: len(picked)], said[len(picked) :]
    return Stretch(picked, others, parts, sum(map(_requests, rows)))


def _labelled(view: View) -> ScoredAnswers:
    """Every row with a truth that is known of, newest last."""
    given = [view.labelled] if view.labelled is not None else [view.whole_reference, view.whole]
    rows = joined(*(answers_of(w) for w in given))
    return rows.take(np.isfinite(rows.right))


def _between(view: View) -> list[Window]:
    """The answers of the last days that were read: where they are many, an even draw."""
    given = [view.recent] if view.recent is not None else [view.whole_reference, view.whole]
    late = [w.rows["timestamp"] >= _since(view) for w in given if len(w)]
    found = [w.take(x.to_numpy(dtype=bool)) for w, x in zip(filter(len, given), late, strict=True)]
    return [w for w in found if len(w)]


def _since(view: View) -> datetime:
    return view.whole.end - timedelta(days=ACCURACY_DAYS)


def _some(window: Window) -> ScoredAnswers:
    """Evenly spaced rows of a window, up to `MOST`."""
    step = max(1, -(-len(window) // MOST))
    return answers_of(window.take(np.arange(0, len(window), step)))


def _by(window: Window, version: str) -> Array:
    return (window.rows["model_version"] == version).to_numpy(dtype=bool)


def _requests(window: Window) -> float:
    """How many there were, where the log or the reading of it left some out."""
    return float((1 / window.kept).sum()) / window.share
