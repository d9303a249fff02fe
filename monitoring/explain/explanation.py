"""What changed: the labels and segments that moved, the texts that are new and the words in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.texts import first_few
from monitoring.drift.features import IncomparableError
from monitoring.explain.rows import Side, comparable_rows
from monitoring.explain.shifts import ShareShift, share_shifts
from monitoring.explain.texts import MmdContributions, TypicalText, mmd_contributions, typical_texts
from monitoring.explain.words import WordShift, significant, within, word_shifts
from monitoring.limits import MIN_ROWS
from monitoring.view import View

SHOWN = 4  # of each in a line
WORDS = 12  # came, and as many went


@dataclass(frozen=True)
class Explanation:
    """A change in words; parts that luck explains are empty. `note` says why nothing can be said."""

    labels: Sequence[ShareShift] = ()
    segments: Sequence[ShareShift] = ()
    came: Sequence[WordShift] = ()
    went: Sequence[WordShift] = ()
    texts: Sequence[TypicalText] = ()  # private: never leave the workspace
    note: str = ""

    @property
    def nothing(self) -> bool:
        """Luck explains all of it."""
        return not (self.labels or self.segments or self.came or self.went or self.texts)

    def lines(self) -> list[str]:
        """A few lines for a terminal or an alert, without anybody's text."""
        if self.note:
            return [self.note]
        columns = list(dict.fromkeys(m.column for m in self.segments))
        parts = [
            ("labels", [str(m) for m in self.labels]),
            *((f"segment {c}", [str(m) for m in self.segments if m.column == c]) for c in columns),
            ("words that came", [w.word for w in self.came]),
            ("words that went", [w.word for w in self.went]),
        ]
        lines = [f"{name}: {first_few(found, SHOWN)}" for name, found in parts if found]
        if self.texts and not lines:
            return ["the texts are others, though no label, segment or word alone moved beyond luck"]
        return lines or ["no label, segment or word moved by more than luck explains"]


def explain(view: View) -> Explanation:
    """What makes the window other than its reference, in whatever order rows come. Never raises."""
    try:
        window, reference = comparable_rows(view)
    except IncomparableError as why:
        return Explanation(note=str(why))
    found = _contributions(view, window, reference)
    words = word_shifts(window.texts, reference.texts)
    came = significant([w for w in words if w.z > 0])
    went = significant([w for w in words if w.z < 0])
    texts: list[TypicalText] = []
    if found:  # the texts changed, so those that changed most say how
        new, old = _most(found.window), found.compared[_most(-found.reference)]
        came += within(_at(window, new), reference.texts, [w for w in words if w.z > 0])
        went += within(_at(reference, old), window.texts, [w for w in words if w.z < 0])
        texts = typical_texts(window, reference, found.window)
    return Explanation(
        labels=_shifts("label", window, reference) if view.task.labelled else [],
        segments=[m for c in _segments(window, reference) for m in _shifts(c, window, reference)],
        came=list(dict.fromkeys(came))[:WORDS],
        went=list(dict.fromkeys(went))[:WORDS],
        texts=texts,
    )


def _contributions(view: View, window: Side, reference: Side) -> MmdContributions | None:
    """Each row's part of the MMD, where the window's texts are others than sampling would give."""
    try:
        found = mmd_contributions(window, reference, view.seed)
    except IncomparableError:
        return None
    return found if found.sds > view.settings.drift_sd else None


def _most(values: Array) -> Array:
    """Positions of the highest tenth, of ten at least."""
    return np.argsort(-values, kind="stable")[: max(10, len(values) // 10)]


def _at(side: Side, where: Array) -> list[str]:
    texts = side.texts
    return [texts[i] for i in where]


def _shifts(column: str, window: Side, reference: Side) -> list[ShareShift]:
    ours, theirs = (_values(column, side) for side in (window, reference))
    return share_shifts(column.removeprefix("segment."), ours, theirs, reference.ago, MIN_ROWS)


def _values(column: str, side: Side) -> list[str]:
    found = side.labels if column == "label" else side.rows[column]
    return ["" if v is None else str(v) for v in found]


def _segments(window: Side, reference: Side) -> list[str]:
    both = set(window.rows) & set(reference.rows)
    return sorted(str(c) for c in both if str(c).startswith("segment."))
