"""What a target takes from a closed set: its names, as opposed to what it copies from its request.

Of a target that is JSON these are its keys, but for those that nearly every target has, and the strings
on its paths of names (`core.json_form`). Of any other target it is the target itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.json_form import JsonForm, object_of


@dataclass(frozen=True, order=True)
class Place:
    """Where a name stands. Two names are compared where they stand in the same place."""

    kind: Literal["key", "value", "answer"]
    path: str = ""  # as jq has it
    within: tuple[tuple[str, str], ...] = ()  # of a key: path and text of what the target is about


@dataclass(frozen=True, order=True)
class Name:
    place: Place
    text: str

    def called(self, old: Name, new: Name) -> Name:
        """The same name, after `old` was renamed into `new`."""
        if self == old:
            return new
        before, after = (old.place.path, old.text), (new.place.path, new.text)
        within = tuple(after if x == before else x for x in self.place.within)
        return replace(self, place=replace(self.place, within=within))


def names_of(texts: Sequence[str], targets: Sequence[str]) -> list[frozenset[Name]]:
    """The names of each target, given the texts of their requests.

    >>> calls = ['{"name": "alarm", "arguments": {"time": "six"}}', '{"name": "stop", "arguments": {}}']
    >>> for name in sorted(names_of(["wake me at six", "be quiet"] * 2, calls * 2)[0]):
    ...     print(name.place.kind, name.place.path, name.place.within, name.text)
    key .arguments (('.name', 'alarm'),) time
    value .name () alarm
    >>> names_of(["hello"], ["greeting"])[0] == {Name(Place("answer"), "greeting")}
    True
    """
    form = JsonForm.of(texts, targets)
    return [frozenset(_names(target, form)) for target in targets]


def _names(target: str, form: JsonForm) -> Iterator[Name]:
    value = object_of(target)
    if value is None:
        yield Name(Place("answer"), target.strip())
        return
    found = list(form.names(value))
    within = tuple(sorted((n.path, n.text) for n in found if n.formal))
    for name in found:
        yield Name(Place(name.kind, name.path, within if name.kind == "key" else ()), name.text)
