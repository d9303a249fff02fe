"""The evaluation rows with what both models said of them, as a whole and sliced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from core.arrays import Array, Frame
from core.tasks import RIGHT, Task
from pipelines.testing.compare import PairedComparison, compare, segments
from pipelines.testing.expectations import Answered

LARGE = 0.05  # a segment that loses this much, beyond chance, is worth a warning
SHOWN = 10
COLLECTION = "collection."  # how the set of a named collection begins


class Sheet:
    """The evaluation rows with what both models said of them."""

    def __init__(self, rows: Frame, candidate: Answered, champion: Answered | None, task: Task) -> None:
        texts = rows["input"]
        self.rows, self._task = rows, task
        self.candidate = [candidate.label(t) for t in texts]
        self.champion = None if champion is None else [champion.label(t) for t in texts]
        self.right = self._right(self.candidate)
        self.was_right = self.right if self.champion is None else self._right(self.champion)

    def _right(self, said: Sequence[str]) -> Array:
        """(n,) which outputs count as right."""
        scores = map(self._task.score, said, self.rows["target"])
        return np.array([s is not None and s >= RIGHT for s in scores], dtype=bool)

    def compare(self, mask: Array) -> PairedComparison:
        return compare(self.was_right[mask], self.right[mask])

    def sets(self) -> dict[str, Array]:
        """Which rows each evaluation set has; every named collection is a set of its own."""
        named = self.rows["set"].astype(object)
        if "regression" in set(named):
            ours = named == "regression"
            named[ours] = COLLECTION + self.rows.loc[ours, "round"].astype(str)
        names = sorted(set(named), key=lambda s: (s != "eval", s.startswith(COLLECTION), s))
        return {name: (named == name).to_numpy() for name in names}

    def changes(self, mask: Array, *, gained: bool) -> list[dict[str, str]]:
        """The first rows that only one of the two models has right."""
        if self.champion is None:
            return []
        here = mask & (self.right if gained else self.was_right) & (self.right != self.was_right)
        return [
            {
                "text": str(self.rows["input"].iloc[i]),
                "label": str(self.rows["target"].iloc[i]),
                "champion": str(self.champion[i]),
                "candidate": str(self.candidate[i]),
            }
            for i in np.flatnonzero(here)[:SHOWN]
        ]

    def slices(self) -> Iterator[dict[str, Any]]:
        """Each set as a whole, then its segments."""
        for name, mask in self.sets().items():
            yield self._slice(name, "", mask) | {
                "lost": self.changes(mask, gained=False),
                "gained": self.changes(mask, gained=True),
            }
            where = np.flatnonzero(mask)
            for segment, inner in segments(self.rows.iloc[where]):
                part = np.zeros(len(mask), bool)
                part[where[inner]] = True
                yield self._slice(name, segment, part)

    def _slice(self, name: str, segment: str, mask: Array) -> dict[str, Any]:
        c = self.compare(mask)
        low, high = c.interval
        return {
            "set": name,
            "segment": segment,
            "rows": c.rows,
            "champion": None if self.champion is None else c.champion,
            "candidate": c.candidate,
            "difference": c.difference,
            "low": low,
            "high": high,
            "warning": c.is_worse(LARGE, 0.05),
        }
