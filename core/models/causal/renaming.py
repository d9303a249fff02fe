"""Other names for what a JSON answer takes from a closed set, so that they must be read from examples.

A model that has seen every name says it from memory and does not look at its examples. Where the names
are others in each group of rows, and the same within it, the only way to know one is to read it above
(symbol tuning: Wei et al. 2023, "Symbol tuning improves in-context learning in language models").
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from core.json_form import JsonForm, object_of, step

WORD = re.compile(r"[^\W\d_]{3,12}")


def words_of(texts: Sequence[str]) -> list[str]:
    """The words that new names are made of, in an order of their own.

    >>> words_of(["Call me at 5", "call a cab"])
    ['cab', 'call']
    """
    return sorted({word.lower() for text in texts for word in WORD.findall(text)})


def renamed(
    targets: Sequence[str], form: JsonForm, words: Sequence[str], rng: random.Random
) -> list[tuple[str, bool]]:
    """Each target under other names, and whether every new name in it came before, so that it can be
    known.

    Names are what the `form` says they are. One that a single target has keeps its own. What is no JSON
    object stays as it is.
    """
    values = [object_of(target) for target in targets]
    found = [{n.text for n in form.names(value)} for value in values]
    times = Counter(name for names in found for name in names)
    new = {name: _new_name(name, words, rng) for name in sorted(times) if times[name] > 1}
    made, known = [], set[str]()
    for target, value, names in zip(targets, values, found, strict=True):
        replaced = names & set(new)
        text = json.dumps(_with(value, new, form), ensure_ascii=False) if replaced else target
        made.append((text, replaced <= known))
        known |= replaced
    return made


def _with(value: Any, new: Mapping[str, str], form: JsonForm, path: str = "") -> Any:
    """A value under new names."""
    if isinstance(value, dict):
        return {
            key if key in form.keys else new.get(key, key): _with(part, new, form, step(path, key))
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_with(part, new, form, f"{path}[]") for part in value]
    return new.get(value, value) if path in form.paths and isinstance(value, str) else value


def _new_name(name: str, words: Sequence[str], rng: random.Random) -> str:
    """As many words as the name has.

    >>> _new_name("alarm_set", ["cab"], random.Random(0))
    'cab_cab'
    """
    return "_".join(rng.choice(words) for _ in re.split(r"[_\s.-]+", name))
