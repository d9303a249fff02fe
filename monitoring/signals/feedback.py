"""What users say of the answers: thumbs, ratings and corrections, against what they said before."""

from __future__ import annotations

from collections.abc import Iterator

from core.arrays import Frame
from core.records.signals import Signal
from core.tasks import GENERATION, fits
from monitoring.accuracy.shares import Estimate, noise, weighted
from monitoring.limits import COMPLAINT_RISE, MIN_LABELS
from monitoring.view import Spec, View


def _spec(name: str, words: str) -> Spec:
    said = f"feedback: {words}, more than {{baseline:.1%}}"
    return Spec(f"feedback.{name}", "share", "feedback", "above", said)


DOWN = _spec("down", "{value:.1%} of thumbs point down")
CORRECTIONS = _spec("corrections", "users corrected {value:.1%} of answers")
SCORE = Spec(
    "feedback.score",
    "score",
    "feedback",
    "below",
    "feedback: users score answers {value:.2f} on average, less than {baseline:.2f}",
    (GENERATION,),
)
SPECS = (DOWN, CORRECTIONS, SCORE)


def measure(view: View) -> Iterator[Signal]:
    ours, theirs = view.feedback_by_answer
    if fits(SCORE, view.task):
        yield _score(view, *(rows[rows["score"].notna()] for rows in (ours, theirs)))
    yield _share(view, DOWN, ours[ours["thumb"].notna()], theirs[theirs["thumb"].notna()], "thumb")
    if not len(view.feedback):
        yield view.signal(CORRECTIONS, None, "not enough feedback: none was given")
        return
    yield _share(view, CORRECTIONS, ours, theirs, "corrected")


def _share(view: View, spec: Spec, ours: Frame, theirs: Frame, column: str) -> Signal:
    """The share of True in a column, weighed by the chance that the log kept a row."""
    what, needed = "thumbs" if column == "thumb" else "answers", MIN_LABELS
    if len(ours) < needed:
        return view.signal(spec, None, f"not enough {what}: {len(ours)}, {needed} needed")
    now = _estimate(ours, column)
    bad = int(ours[column].astype(bool).sum())
    note = f"{bad} of {len(ours):,} {what}"
    if len(theirs) < needed:
        note += f"; not comparable: {len(theirs)} {what} of the reference"
        return view.signal(spec, now.value, note, low=now.low, high=now.high)
    usual = _estimate(theirs, column)
    note += (
        f"; {usual.value:.1%} over {len(theirs):,} of the reference ({now.value - usual.value:+.1%})"
    )
    limit = usual.value + max(COMPLAINT_RISE, view.settings.drift_sd * noise(now, usual))
    return view.signal(spec, now.value, note, baseline=limit, low=now.low, high=now.high)


def _score(view: View, ours: Frame, theirs: Frame) -> Signal:
    """The mean of thumbs, ratings, and demonstrations judged by the task. A score in 0..1 varies no
    more than a share does, so its interval is wide enough."""
    if len(ours) < MIN_LABELS:
        return view.signal(SCORE, None, f"not enough scores: {len(ours)}, {MIN_LABELS} needed")
    now = _estimate(ours, "score")
    note = f"{len(ours):,} answers"
    if len(theirs) < MIN_LABELS:
        note += f"; not comparable: {len(theirs)} of the reference"
        return view.signal(SCORE, now.value, note, low=now.low, high=now.high)
    usual = _estimate(theirs, "score")
    note += f"; {usual.value:.2f} over {len(theirs):,} of the reference"
    limit = usual.value - max(COMPLAINT_RISE, view.settings.drift_sd * noise(now, usual))
    return view.signal(SCORE, now.value, note, baseline=limit, low=now.low, high=now.high)


def _estimate(rows: Frame, column: str) -> Estimate:
    return weighted(rows[column].to_numpy(dtype=float), rows["kept"].to_numpy(dtype=float))
