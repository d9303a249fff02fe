"""Labels of which there is little: a new one, and one with next to no row. None is learnt unseen.

    held back, fewer than 2 rows to train on: `no such label` (1 row to train on, 0 to test)

A mistyped cell makes a class of one row. It would pass every test, since no evaluation row has it, and
then answer users. So a new label waits for its second row (`training.min_label_rows`), unless several
come at once, which no slip does; and the report says of every new one how many rows stand behind it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from core.texts import counted, first_few

SHOWN = 5
State = Literal["held back", "new", "known"]


@dataclass(frozen=True)
class LabelRows:
    """The rows of a label. `held back`: too few to learn it; `known`: the champion knows it already."""

    label: str
    state: State
    train: int
    evaluation: int


@dataclass(frozen=True)
class Scarce:
    """The labels to name in a report, and the rows that a new one needs."""

    rows: Sequence[LabelRows] = ()
    needed: int = 1

    def words(self) -> Iterator[str]:
        """What waits, what is new, what nobody tested."""
        held, new, known = (
            [x for x in self.rows if x.state == s] for s in ("held back", "new", "known")
        )
        floor = f"fewer than {self.needed} rows to train on (training.min_label_rows)"
        if held:
            more = "A new class: label more rows of it"
            yield f"held back, {floor}: {_named(held)}. {_todo(held)}. {more}"
        if thin := [x for x in new if x.train < self.needed]:
            yield f"learnt with {floor}, as several came at once: {_named(thin)}. {_todo(thin)}"
        if new:
            yield f"new to the model: {_named(new)}"
        if untested := [f"`{x.label}`" for x in new if not x.evaluation]:
            todo = "a collection can test that: everloop collection add"
            yield f"no evaluation row has {first_few(untested, SHOWN)}; {todo}"
        if known:
            yield f"known to the champion, but {floor}: {_named(known)}"


def scarce(
    train: Sequence[str],
    evaluation: Sequence[str],
    candidate: Collection[str],
    champion: Collection[str],
    needed: int,
) -> Scarce:
    """Labels to train on that are new to the candidate or have fewer rows than needed, by name.

    `candidate` and `champion` are the labels that each model knows.

    >>> found = scarce(["a", "a", "b", "b", "c"], ["b"], {"a", "b"}, {"a"}, 2).rows
    >>> [(x.label, x.state, x.train, x.evaluation) for x in found]
    [('b', 'new', 2, 1), ('c', 'held back', 1, 0)]
    """
    trains, evaluates = Counter(train), Counter(evaluation)
    rows = [
        LabelRows(label, _state(label, candidate, champion), trains[label], evaluates[label])
        for label in sorted(trains)
        if label not in champion or trains[label] < needed
    ]
    return Scarce(rows, needed)


def _state(label: str, candidate: Collection[str], champion: Collection[str]) -> State:
    if label not in candidate:
        return "held back"
    return "known" if label in champion else "new"


def _todo(found: Sequence[LabelRows]) -> str:
    return f"A slip: everloop label set merge {shlex.quote(found[0].label)} --into RIGHT"


def _named(found: Sequence[LabelRows]) -> str:
    named = [
        f"`{x.label}` ({counted(x.train, 'row')} to train on, {x.evaluation} to test)" for x in found
    ]
    return first_few(named, SHOWN)
