"""The form of answers that are JSON: the keys that nearly all of them have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

KEPT_KEYS = 0.9  # a key in this share of all answers is their form, not their content


def form_of(targets: Sequence[str]) -> frozenset[str]:
    """The keys that nearly every answer has.

    >>> sorted(form_of(['{"name": "a", "arguments": {"x": 1}}', '{"name": "b", "arguments": {}}']))
    ['arguments', 'name']
    """
    read = [value for value in map(object_of, targets) if value is not None]
    found = Counter(key for value in read for key in set(_keys(value)))
    return frozenset(key for key, rows in found.items() if rows >= KEPT_KEYS * len(read))


def object_of(target: str) -> dict[str, Any] | None:
    try:
        value = json.loads(target)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for part in value.values() for key in _keys(part))]
    return [key for part in value for key in _keys(part)] if isinstance(value, list) else []
