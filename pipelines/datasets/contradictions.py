"""A truth that changed: newer targets use another name than older targets of requests like theirs.

Each row is compared with its nearest earlier rows. Where these use the old name, the row either keeps
it or uses the new name instead. `name_splits` says when that is more than chance. A topic that comes
has no earlier rows that lie near: it is no change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from core.arrays import Array
from core.rewrites import stamp
from pipelines.datasets.closed_names import Name
from pipelines.datasets.name_splits import ALIKE, LEFT, NameSplit, surest, suspicions
from pipelines.datasets.near_rows import NearRows

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
    elsewhere: int  # newer rows near old ones that use neither
    chance: float  # of as much where nothing changed
    pairs: list[tuple[int, int]]  # an older row and a newer one, the nearest first
    outdated: list[int]  # rows before `since` that use the old name
    within: tuple[tuple[str, frozenset[str]], ...]  # of a key: what its targets are about, by any name

    @property
    def where(self) -> str:
        """A jq program that is true of the rows that use the old name, and are older."""
        place, old = self.old.place, _text(self.old.text)
        if place.kind == "answer":
            said = [f".target == {old}"]
        elif place.kind == "value":
            said = [f"any(.target{place.path}?; . == {old})"]
        else:
            said = [f"any(.target{place.path}? | objects; has({old}))"]
        for path, names in self.within:
            one_of = ", ".join(_text(n) for n in sorted(names))
            said.append(f"any(.target{path}?; IN({one_of}))")
        return " and ".join([*said, f'.time < "{stamp(self.since)}"'])

    @property
    def renames(self) -> bool:
        """Whether the new name is all that became of the old one. Where newer rows have gone different
        ways, nobody knows which way an old row would have gone."""
        return self.elsewhere <= LEFT * (self.elsewhere + sum(self.after))

    @property
    def jq(self) -> str:
        """A jq program that gives older rows the new name.

        >>> from pipelines.datasets.closed_names import Place
        >>> rename = Contradiction(
        ...     Name(Place("key", ".arguments"), "time"), Name(Place("key", ".arguments"), "at"),
        ...     datetime.max, (9, 0), (0, 9), 0, 0.0, [], [], ())
        >>> rename.jq
        '(.target.arguments | objects) |= with_entries(if .key == "time" then .key = "at" else . end)'
        """
        place, old, new = self.old.place, _text(self.old.text), _text(self.new.text)
        if place.kind == "answer":
            return f".target = {new}"
        if place.kind == "value":
            return f"(.target{place.path} | select(. == {old})) = {new}"
        entry = f"if .key == {old} then .key = {new} else . end"
        return f"(.target{place.path} | objects) |= with_entries({entry})"

    @property
    def title(self) -> str:
        """
        >>> from pipelines.datasets.closed_names import Place
        >>> one = Name(Place("value", ".name"), "alarm_set")
        >>> now = Name(one.place, "alarm_create")
        >>> Contradiction(one, now, datetime.max, (9, 0), (0, 9), 0, 0.0, [], [], ()).title
        '"alarm_set" has become "alarm_create"'
        """
        about = ", ".join(" or ".join(f'"{n}"' for n in sorted(names)) for _, names in self.within)
        where = f" of {about}" if about else ""
        return f'"{self.old.text}"{where} has become "{self.new.text}"'


@dataclass(frozen=True)
class Suspicion:
    """One row with a name that nobody used before, near older rows that agree on another one. It may be
    a slip: labels of requests like these tell."""

    row: int
    near: list[int]
    old: str
    new: str


@dataclass(frozen=True)
class Findings:
    changes: list[Contradiction] = field(default_factory=list)  # the surest first
    suspicions: list[Suspicion] = field(default_factory=list)


def look(
    texts: Sequence[str], targets: Sequence[str], embeddings: Array, times: Sequence[datetime]
) -> Findings:
    """What changed, and what may have. Of more than MOST rows the newest are looked at.

    A change explains others (a function that is renamed takes its arguments along), so the surest is
    found, the rows are read under the new name, and the next is looked for.
    """
    order = sorted(range(len(texts)), key=lambda i: (times[i], i))[-MOST:]
    if not order:
        return Findings()
    asked, said = [texts[i] for i in order], [targets[i] for i in order]
    rows = NearRows.of(asked, said, embeddings[order], [times[i] for i in order])
    found: list[Contradiction] = []
    while len(found) < AT_MOST and (split := surest(rows)):
        found.append(_change(split, rows, order, found))
        rows = rows.called(split.old, split.new)
    suspect = [_suspicion(split, rows, order) for split in suspicions(rows)]
    return Findings(sorted(found, key=lambda c: c.chance), suspect)


def _change(
    split: NameSplit, rows: NearRows, order: Sequence[int], before: Sequence[Contradiction]
) -> Contradiction:
    """With the places that the rows had when they were given. before: changes that names stand for."""
    since = rows.times[split.first]
    newer = sorted((t for t in split.trials[split.at :] if t.new), key=lambda t: -t.cosine)
    return Contradiction(
        split.old,
        split.new,
        since,
        split.uses(newer=False),
        split.uses(newer=True),
        0 if split.old.place.kind == "key" else _elsewhere(split, rows),  # a key may be left out
        split.chance,
        [(order[t.near], order[t.row]) for t in newer],
        [order[row] for row in sorted(rows.having[split.old]) if rows.times[row] < since],
        tuple((path, _all_names(path, text, before)) for path, text in split.old.place.within),
    )


def _elsewhere(split: NameSplit, rows: NearRows) -> int:
    old, new = split.old, split.new
    neither = set(range(split.first, len(rows.names))) - rows.having[old] - rows.having[new]
    return sum(rows.nearest(row, old, new, ALIKE) is not None for row in neither)


def _suspicion(split: NameSplit, rows: NearRows, order: Sequence[int]) -> Suspicion:
    near = [order[place] for place in rows.near[split.first, :ALIKE].tolist()]
    return Suspicion(order[split.first], near, split.old.text, split.new.text)


def _all_names(path: str, text: str, before: Sequence[Contradiction]) -> frozenset[str]:
    """A value, and what it was called before."""
    names = {text}
    for change in reversed(before):
        if change.new.place.path == path and change.new.text in names:
            names.add(change.old.text)
    return frozenset(names)


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
