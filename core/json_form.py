"""The form of answers that are JSON: the keys that nearly all of them have, and where names stand.

A name is taken from a closed set: a function, a unit. Any other string is copied from its request, or
written freely. Which it is, is decided for each path: a function "play" is a name, though the request
says "play", too.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

KEPT_KEYS = 0.9  # a key in this share of all answers is their form, not their content
COPIED = 0.9  # where requests hold this share of a path's strings, the path is copied
REPEATED = 2  # times that a name comes, on average: what is written freely hardly comes again
PLAIN = re.compile(r"[A-Za-z_]\w*")  # a key that jq reads without quotes


@dataclass(frozen=True)
class FoundName:
    """A key outside the form, or a string on a path of names."""

    kind: Literal["key", "value"]
    path: str  # as jq has it; of a key: of the object that has it
    text: str
    formal: bool = False  # a string that keys of the form alone lead to


@dataclass(frozen=True)
class JsonForm:
    keys: frozenset[str] = frozenset()  # that nearly every answer has
    paths: frozenset[str] = frozenset()  # of names, as jq has them

    @staticmethod
    def of(texts: Sequence[str], targets: Sequence[str]) -> JsonForm:
        """The form of answers to these requests.

        >>> calls = ['{"name": "a", "arguments": {"x": "six"}}', '{"name": "b", "arguments": {}}'] * 3
        >>> form = JsonForm.of(["wake me at six", "stop"] * 3, calls)
        >>> sorted(form.keys), sorted(form.paths)
        (['arguments', 'name'], ['.name'])
        """
        read = [
            (text.lower(), value)
            for text, t in zip(texts, targets, strict=True)
            if (value := object_of(t))
        ]
        having = Counter(key for _, value in read for key in set(_keys(value)))
        strings: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
        for text, value in read:
            for path, _, said in _walk(value, ""):
                if isinstance(said, str):
                    strings[path].append((said, said.lower() in text))
        return JsonForm(
            frozenset(key for key, rows in having.items() if rows >= KEPT_KEYS * len(read)),
            frozenset(path for path, said in strings.items() if _are_names(said)),
        )

    def names(self, value: Any) -> Iterator[FoundName]:
        """The names of one answer.

        >>> form = JsonForm(frozenset({"name", "arguments"}), frozenset({".name"}))
        >>> [(n.kind, n.path, n.text) for n in form.names({"name": "a", "arguments": {"x": "six"}})]
        [('value', '.name', 'a'), ('key', '.arguments', 'x')]
        """
        for path, keys, said in _walk(value, ""):
            if isinstance(said, dict):
                yield from (FoundName("key", path, key) for key in said if key not in self.keys)
            elif isinstance(said, str) and path in self.paths:
                yield FoundName("value", path, said, formal=keys <= self.keys)


def object_of(target: str) -> dict[str, Any] | None:
    try:
        value = json.loads(target)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def step(path: str, key: str) -> str:
    """The path of what a key holds."""
    return path + (f".{key}" if PLAIN.fullmatch(key) else f"[{json.dumps(key)}]")


def _are_names(said: Sequence[tuple[str, bool]]) -> bool:
    """Strings of one path, each with whether its request holds it."""
    held, distinct = sum(h for _, h in said), len({text for text, _ in said})
    return held < COPIED * len(said) and distinct * REPEATED <= len(said) + 1


def _walk(
    value: Any, path: str, keys: frozenset[str] = frozenset()
) -> Iterator[tuple[str, frozenset[str], Any]]:
    """Path, keys on the way, and each value inside one, itself first."""
    yield path, keys, value
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _walk(part, step(path, key), keys | {key})
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part, f"{path}[]", keys)


def _keys(value: Any) -> list[str]:
    return [key for _, _, said in _walk(value, "") if isinstance(said, dict) for key in said]
