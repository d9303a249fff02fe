"""Labelled rows in the order of time, each with its nearest earlier rows: where a new name is tried.

A row is a trial of two names where its nearest earlier rows, of those without the new name, use the old
one: it either keeps that name or uses the new one instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np

from core.arrays import Array
from core.near import unit
from core.rowwise import AT_A_TIME
from core.texts import words
from pipelines.datasets.closed_names import Name, names_of

NEAR = 0.5  # least cosine of two requests that are compared
EARLIER = 16  # nearest earlier rows of a row that are looked at


@dataclass(frozen=True, eq=False)
class Trial:
    """A row whose nearest earlier rows, of those without the new name, use the old one."""

    row: int
    near: int
    cosine: float
    new: bool  # it uses the new name, else the old one


@dataclass(frozen=True, eq=False)
class NearRows:
    times: Sequence[datetime]  # ascending
    names: Sequence[frozenset[Name]]
    same: Sequence[str]  # words of each request
    near: Array  # (n, EARLIER) the nearest earlier rows of each row; -1 where there are none
    cosines: Array  # (n, EARLIER)

    @staticmethod
    def of(
        texts: Sequence[str], targets: Sequence[str], embeddings: Array, times: Sequence[datetime]
    ) -> NearRows:
        names, same = names_of(texts, targets), [words(text) for text in texts]
        return NearRows(times, names, same, *_earlier(embeddings))

    @cached_property
    def having(self) -> dict[Name, set[int]]:
        found: defaultdict[Name, set[int]] = defaultdict(set)
        for row, held in enumerate(self.names):
            for name in held:
                found[name].add(row)
        return found

    def called(self, old: Name, new: Name) -> NearRows:
        """The same rows, read as if the old name had always been the new one."""
        names = [frozenset(n.called(old, new) for n in row) for row in self.names]
        return replace(self, names=names)

    def trials(self, old: Name, new: Name) -> list[Trial]:
        """In time order. The same words with the same name again say nothing new: whoever erred may
        have erred twice."""
        found: dict[tuple[str, bool], Trial] = {}
        for row in sorted(self.having[old] ^ self.having[new]):
            uses = row in self.having[new]
            if nearest := self.nearest(row, old, new):
                found.setdefault((self.same[row], uses), Trial(row, *nearest, uses))
        return list(found.values())

    def nearest(self, row: int, old: Name, new: Name, alike: int = 1) -> tuple[int, float] | None:
        """The nearest earlier row without the new name and its cosine, where it and the next of its
        kind, `alike` in all, lie near and use the old one."""
        found: list[tuple[int, float]] = []
        for place, cosine in zip(self.near[row].tolist(), self.cosines[row].tolist(), strict=True):
            if place < 0 or cosine < NEAR:
                return None
            if place in self.having[new]:
                continue
            if place not in self.having[old]:
                return None
            found.append((place, cosine))
            if len(found) == alike:
                return found[0]
        return None


def _earlier(embeddings: Array) -> tuple[Array, Array]:
    n, rows = len(embeddings), unit(np.asarray(embeddings, np.float32))
    places = np.full((n, EARLIER), -1, np.int64)
    cosines = np.zeros((n, EARLIER), np.float32)
    for start in range(0, n, AT_A_TIME):
        close = rows[start : start + AT_A_TIME] @ rows.T
        for i, line in enumerate(close, start):
            nearest = np.argsort(-line[:i], kind="stable")[:EARLIER]
            places[i, : len(nearest)], cosines[i, : len(nearest)] = nearest, line[nearest]
    return places, cosines
