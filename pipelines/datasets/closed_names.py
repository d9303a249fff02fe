"""What a target takes from a closed set: its names, as opposed to what it copies from its request.

Of a target that is JSON these are its keys, but for those that nearly every target has, and its strings
that the request does not hold (a function's name, a unit). Of any other target it is the target itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from core.json_form import form_of

PLAIN = re.compile(r"[A-Za-z_]\w*")  # a key that jq reads without quotes


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
    """The names of each target, given the text of its request.

    >>> calls = ['{"name": "alarm", "arguments": {"time": "six"}}', '{"name": "stop", "arguments": {}}']
    >>> for name in sorted(names_of(["wake me at six", "be quiet"], calls)[0]):
    ...     print(name.place.kind, name.place.path, name.place.within, name.text)
    key .arguments (('.name', 'alarm'),) time
    value .name () alarm
    >>> names_of(["hello"], ["greeting"])[0] == {Name(Place("answer"), "greeting")}
    True
    """
    form = form_of(targets)
    return [frozenset(_names(t, x.lower(), form)) for x, t in zip(texts, targets, strict=True)]


def _names(target: str, text: str, form: frozenset[str]) -> Iterator[Name]:
    try:
        value = json.loads(target)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        yield Name(Place("answer"), target.strip())
        return
    found = list(_inside(value, "", text, form))
    within = tuple(sorted((path, name) for _, path, name, formal in found if formal))
    for kind, path, name, _ in found:
        yield Name(Place(kind, path, within if kind == "key" else ()), name)


def _inside(
    value: Any, path: str, text: str, form: frozenset[str], formal: bool = True
) -> Iterator[tuple[Literal["key", "value"], str, str, bool]]:
    """Kind, path and text of each name; and whether it is a value that keys of the form lead to."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in form:
                yield "key", path, key, False
            step = f".{key}" if PLAIN.fullmatch(key) else f"[{json.dumps(key)}]"
            yield from _inside(part, path + step, text, form, formal and key in form)
    elif isinstance(value, list):
        for part in value:
            yield from _inside(part, f"{path}[]", text, form, formal)
    elif isinstance(value, str) and value.lower() not in text:
        yield "value", path, value, formal
