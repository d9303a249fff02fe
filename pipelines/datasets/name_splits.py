"""A time from which on one name stands where another stood, and how likely that is by chance.

Two tests. Of any two names: Fisher's exact test asks whether the new one is commoner from some time on
than before (Fisher 1922; here one-sided). Noise is as common before as after. It takes many rows.

Of a name that nobody used before, a few rows are enough. A row has a new name though ALIKE earlier rows
near it agree on an old one: where nothing changed, such rows are rare, and how rare is counted in the
rows themselves (as conformal tests do: Vovk, Gammerman and Shafer 2005). Such a row is a suspicion. If
the new name were only a rare one, the next rows of this kind would hardly have it again: after n rows
with the old name and one with the new one, Laplace's rule of succession gives 2 in n + 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from scipy.stats import betabinom, hypergeom

from pipelines.datasets.closed_names import Name
from pipelines.datasets.near_rows import NEAR, NearRows, Trial

SURE = 0.01  # the chance of a finding where nothing changed, at one look
LEFT = 0.2  # share of newer rows that may still use the old name
BEFORE = 0.1  # share of older rows that may use the new name already
FARTHEST = 0.1  # share of old rows that may lie farther from each other than new ones from them
FEWEST = 3  # rows of a new name: one may be a slip, two a name that stands beside the old one
ALIKE = 4  # earlier rows near a new name that agree on the old one: fewer are misled in 1 of 60 looks
WEEK = timedelta(days=7)  # in which a suspicion is looked into, and whose labels say how many a day are


@dataclass(frozen=True, eq=False)
class NameSplit:
    """One pair of names and one time at which it may have happened."""

    old: Name
    new: Name
    trials: Sequence[Trial]  # in time order
    at: int  # the first trial that is newer
    chance: float
    least: float = 0.0  # the chance, were all newer trials of the new name

    def uses(self, newer: bool) -> tuple[int, int]:
        """Older or newer trials that use the old name, and the new one."""
        trials = self.trials[self.at :] if newer else self.trials[: self.at]
        new = sum(t.new for t in trials)
        return len(trials) - new, new

    @property
    def first(self) -> int:
        """The first row that is newer."""
        return self.trials[self.at].row

    @property
    def clear(self) -> bool:
        """Newer rows have done with the old name, older ones did not know the new one, and both are of
        one topic: rows of the new name lie as near old ones as these lie to each other."""
        before, after = self.uses(newer=False), self.uses(newer=True)
        ends = after[0] <= LEFT * sum(after) and before[1] <= BEFORE * sum(before)
        return ends and self._cosine(new=True, share=0.5) >= self._cosine(new=False, share=FARTHEST)

    def _cosine(self, new: bool, share: float) -> float:
        return float(np.quantile([t.cosine for t in self.trials if t.new is new], share))


def surest(rows: NearRows) -> NameSplit | None:
    """The change that chance explains least; None where chance explains all. Values come before keys,
    since a key is compared among targets that are about the same."""
    splits = [s for pair in _pairs(rows) for s in _splits(rows, *pair)]
    tests = _tests([s.least for s in splits])
    found = [replace(s, chance=s.chance * tests) for s in splits]
    found += [s for s in births(rows) if s.uses(newer=True)[1] >= FEWEST]
    sure = [s for s in found if s.chance < SURE and s.clear]
    return min(sure, key=lambda s: (s.old.place.kind == "key", s.chance), default=None)


def births(rows: NearRows) -> list[NameSplit]:
    """Names that nobody used before, near rows that agree on another one."""
    found = list(_new_names(rows))
    splits = []
    for first, old, new in found:
        trials = rows.trials(old, new)
        at = next((i for i, t in enumerate(trials) if t.row == first), None)
        if at:  # some rows before it kept the old name
            chance = _daily(rows.times) * len(found) / len(rows.names) * _again(trials, at)
            splits.append(NameSplit(old, new, trials, at, chance))
    return splits


def suspicions(rows: NearRows) -> list[NameSplit]:
    """Those of the last week that nothing speaks against."""
    return [s for s in births(rows) if rows.times[s.first] > rows.times[-1] - WEEK and s.clear]


def _new_names(rows: NearRows) -> Iterator[tuple[int, Name, Name]]:
    for new, having in rows.having.items():
        first = min(having)
        places, cosines = rows.near[first, :ALIKE].tolist(), rows.cosines[first, :ALIKE]
        if places[-1] < 0 or cosines[-1] < NEAR:
            continue
        agreed = frozenset.intersection(*(rows.names[place] for place in places))
        olds = [old for old in agreed - rows.names[first] if old.place == new.place]
        if len(olds) == 1:
            yield first, olds[0], new


def _daily(times: Sequence[datetime]) -> float:
    """Rows a day in the last week."""
    return sum(time > times[-1] - WEEK for time in times) / WEEK.days


def _again(trials: Sequence[Trial], at: int) -> float:
    """The chance of as many more trials of the new name after its first, were it only a rare name."""
    more = trials[at + 1 :]
    new = sum(t.new for t in more)
    return float(betabinom.sf(new - 1, len(more), 2, at + 1)) if more else 1.0


def _tests(least: Sequence[float]) -> int:
    """By how many a chance is multiplied: the tests that could come out at all, given what was counted
    (Tarone 1990, "A modified Bonferroni method for discrete data").

    >>> _tests([0.5] * 100 + [0.001]), _tests([0.001] * 5)
    (1, 5)
    """
    tests = 1
    while sum(one < SURE / tests for one in least) > tests:
        tests += 1
    return tests


def _pairs(rows: NearRows) -> list[tuple[Name, Name]]:
    """Names that a row lacks and its nearest earlier row has, and names that it has instead."""
    found = {
        (old, new)
        for row, first in enumerate(rows.near[:, 0].tolist())
        if first >= 0
        for new in rows.names[row] - rows.names[first]
        for old in rows.names[first] - rows.names[row]
        if old.place == new.place
    }
    return sorted(found)


def _splits(rows: NearRows, old: Name, new: Name) -> list[NameSplit]:
    """The change at each time that it may have happened."""
    trials = rows.trials(old, new)
    uses = np.array([t.new for t in trials], bool)
    at = np.flatnonzero(uses)
    at = at[at > 0]
    total, after = uses.sum(), len(uses) - at
    newer = uses[::-1].cumsum()[::-1][at]
    found = hypergeom.sf(np.stack([newer, np.minimum(total, after)]) - 1, len(uses), total, after)
    return [
        NameSplit(old, new, trials, i, chance, least)
        for i, chance, least in zip(at.tolist(), *found.tolist(), strict=True)
    ]
