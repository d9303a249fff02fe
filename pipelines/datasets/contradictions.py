"""A truth that changed: newer targets use another name than older targets of requests like theirs.

Each row is compared with its nearest earlier row. Where that one uses the old name, the row either
keeps it or uses the new name instead. Fisher's exact test asks whether the new name is commoner from
some time on than before (Fisher 1922; here one-sided). Noise is as common before as after, and a topic
that comes has no earlier rows that lie near: neither is a change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy.stats import hypergeom

from core.arrays import Array
from core.near import unit
from core.rewrites import stamp
from core.rowwise import AT_A_TIME
from core.texts import words
from pipelines.datasets.closed_names import Name, names_of

SURE = 0.01  # the chance of a finding where nothing changed, all names and times together
NEAR = 0.5  # least cosine of two requests that are compared
LEFT = 0.2  # share of newer rows that may still use the old name
BEFORE = 0.1  # share of older rows that may use the new name already
FARTHEST = 0.1  # share of old rows that may lie farther from each other than new ones from them
EARLIER = 16  # nearest earlier rows of a row that are looked at
MOST = 5_000  # newest rows that are compared; all pairs of them take a second
AT_MOST = 20  # changes in one answer


@dataclass(frozen=True)
class Contradiction:
    """From `since` on `new` stands where `old` stood. Rows are given by their places."""

    old: Name
    new: Name
    since: datetime
    before: tuple[int, int]  # rows near old ones that use the old name, and the new one
    after: tuple[int, int]
    chance: float  # of as much where nothing changed, all tests together
    pairs: list[tuple[int, int]]  # an older row and a newer one, the nearest first
    outdated: list[int]  # rows before `since` that use the old name
    within: tuple[tuple[str, frozenset[str]], ...]  # of a key: what its targets are about, by any name

    @property
    def where(self) -> str:
        """A jq program that is true of the rows that use the old name, and are older."""
        place, old = self.old.place, json.dumps(self.old.text, ensure_ascii=False)
        if place.kind == "answer":
            said = [f".target == {old}"]
        elif place.kind == "value":
            said = [f"any(.target{place.path}?; . == {old})"]
        else:
            said = [f"any(.target{place.path}? | objects; has({old}))"]
        for path, names in self.within:
            one_of = ", ".join(json.dumps(n, ensure_ascii=False) for n in sorted(names))
            said.append(f"any(.target{path}?; IN({one_of}))")
        return " and ".join([*said, f'.time < "{stamp(self.since)}"'])

    @property
    def title(self) -> str:
        """
        >>> from pipelines.datasets.closed_names import Place
        >>> one = Name(Place("value", ".name"), "alarm_set")
        >>> now = replace(one, text="alarm_create")
        >>> Contradiction(one, now, datetime.max, (9, 0), (0, 9), 0.0, [], [], ()).title
        '"alarm_set" has become "alarm_create"'
        """
        about = ", ".join(" or ".join(f'"{n}"' for n in sorted(names)) for _, names in self.within)
        where = f" of {about}" if about else ""
        return f'"{self.old.text}"{where} has become "{self.new.text}"'


@dataclass(frozen=True, eq=False)
class _Trial:
    """A row whose nearest earlier row, of those without the new name, uses the old one."""

    row: int
    near: int
    cosine: float
    new: bool  # it uses the new name, else the old one


@dataclass(frozen=True, eq=False)
class _Split:
    """One pair of names and one time at which it may have happened."""

    old: Name
    new: Name
    trials: Sequence[_Trial]  # in time order
    at: int  # the first trial that is newer
    chance: float
    least: float  # the chance, were all newer trials of the new name

    def uses(self, newer: bool) -> tuple[int, int]:
        """Older or newer trials that use the old name, and the new one."""
        trials = self.trials[self.at :] if newer else self.trials[: self.at]
        new = sum(t.new for t in trials)
        return len(trials) - new, new

    @property
    def clear(self) -> bool:
        """Newer rows have done with the old name, older ones did not know the new one, and both are of
        one topic: rows of the new name lie as near old ones as these lie to each other."""
        before, after = self.uses(newer=False), self.uses(newer=True)
        ends = after[0] <= LEFT * sum(after) and before[1] <= BEFORE * sum(before)
        return ends and self._cosine(new=True, share=0.5) >= self._cosine(new=False, share=FARTHEST)

    def _cosine(self, new: bool, share: float) -> float:
        return float(np.quantile([t.cosine for t in self.trials if t.new is new], share))


def changes(
    texts: Sequence[str], targets: Sequence[str], embeddings: Array, times: Sequence[datetime]
) -> list[Contradiction]:
    """What changed, the surest first. Of more than MOST rows the newest are looked at.

    A change explains others (a function that is renamed takes its arguments along), so the surest is
    found, the rows are read under the new name, and the next is looked for.
    """
    order = sorted(range(len(texts)), key=lambda i: (times[i], i))[-MOST:]
    names = names_of([texts[i] for i in order], [targets[i] for i in order])
    near = _earlier(embeddings[order])
    same = [words(texts[i]) for i in order]
    found: list[Contradiction] = []
    while len(found) < AT_MOST and (split := _surest(names, near, same)):
        found.append(_change(split, names, order, times, found))
        names = [frozenset(n.called(split.old, split.new) for n in row) for row in names]
    return sorted(found, key=lambda c: c.chance)


def _surest(
    names: Sequence[frozenset[Name]], near: tuple[Array, Array], same: Sequence[str]
) -> _Split | None:
    """The change that chance explains least; None where chance explains all. Values come before keys,
    since a key is compared among targets that are about the same."""
    having: dict[Name, set[int]] = {}
    for row, held in enumerate(names):
        for name in held:
            having.setdefault(name, set()).add(row)
    splits = [s for pair in _pairs(names, near[0]) for s in _splits(*pair, having, near, same)]
    tests = _tests([s.least for s in splits])
    sure = [s for s in splits if s.chance * tests < SURE and s.clear]
    best = min(sure, key=lambda s: (s.old.place.kind == "key", s.chance), default=None)
    return best and replace(best, chance=best.chance * tests)


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


def _pairs(names: Sequence[frozenset[Name]], near: Array) -> list[tuple[Name, Name]]:
    """Names that a row lacks and its nearest earlier row has, and names that it has instead."""
    found = {
        (old, new)
        for row, first in enumerate(near[:, 0].tolist())
        if first >= 0
        for new in names[row] - names[first]
        for old in names[first] - names[row]
        if old.place == new.place
    }
    return sorted(found)


def _splits(
    old: Name,
    new: Name,
    having: Mapping[Name, set[int]],
    near: tuple[Array, Array],
    same: Sequence[str],
) -> list[_Split]:
    """The change at each time that it may have happened."""
    trials = _trials(old, new, having, near, same)
    uses = np.array([t.new for t in trials], bool)
    at = np.flatnonzero(uses)
    at = at[at > 0]
    total, after = uses.sum(), len(uses) - at
    newer = uses[::-1].cumsum()[::-1][at]
    found = hypergeom.sf(np.stack([newer, np.minimum(total, after)]) - 1, len(uses), total, after)
    return [
        _Split(old, new, trials, i, chance, least)
        for i, chance, least in zip(at.tolist(), *found.tolist(), strict=True)
    ]


def _trials(
    old: Name,
    new: Name,
    having: Mapping[Name, set[int]],
    near: tuple[Array, Array],
    same: Sequence[str],
) -> list[_Trial]:
    """The same words with the same name again say nothing new: whoever erred may have erred twice."""
    found: dict[tuple[str, bool], _Trial] = {}
    for row in sorted(having[old] ^ having[new]):
        uses = row in having[new]
        for place, cosine in zip(near[0][row].tolist(), near[1][row].tolist(), strict=True):
            if place < 0 or cosine < NEAR:
                break
            if place in having[new]:
                continue
            if place in having[old]:
                found.setdefault((same[row], uses), _Trial(row, place, cosine, uses))
            break
    return list(found.values())


def _change(
    split: _Split,
    names: Sequence[frozenset[Name]],
    order: Sequence[int],
    times: Sequence[datetime],
    before: Sequence[Contradiction],
) -> Contradiction:
    """With the places that the rows had when they were given. before: changes that names stand for."""
    since = times[order[split.trials[split.at].row]]
    newer = sorted((t for t in split.trials[split.at :] if t.new), key=lambda t: -t.cosine)
    return Contradiction(
        split.old,
        split.new,
        since,
        split.uses(newer=False),
        split.uses(newer=True),
        split.chance,
        [(order[t.near], order[t.row]) for t in newer],
        [i for i, held in zip(order, names, strict=True) if split.old in held and times[i] < since],
        tuple((path, _all_names(path, text, before)) for path, text in split.old.place.within),
    )


def _all_names(path: str, text: str, before: Sequence[Contradiction]) -> frozenset[str]:
    """A value, and what it was called before."""
    names = {text}
    for change in reversed(before):
        if change.new.place.path == path and change.new.text in names:
            names.add(change.old.text)
    return frozenset(names)


def _earlier(embeddings: Array) -> tuple[Array, Array]:
    """(n, EARLIER) the nearest earlier rows of each row, and their cosines; -1 where there are none."""
    n, rows = len(embeddings), unit(np.asarray(embeddings, np.float32))
    places = np.full((n, EARLIER), -1, np.int64)
    cosines = np.zeros((n, EARLIER), np.float32)
    for start in range(0, n, AT_A_TIME):
        close = rows[start : start + AT_A_TIME] @ rows.T
        for i, line in enumerate(close, start):
            nearest = np.argsort(-line[:i], kind="stable")[:EARLIER]
            places[i, : len(nearest)], cosines[i, : len(nearest)] = nearest, line[nearest]
    return places, cosines
