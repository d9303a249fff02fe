"""The language of a text, by py3langid: n-grams of bytes that tell languages apart and not subjects
(Lui and Baldwin, langid.py, ACL 2012). It works offline and takes some 0.04 ms a short text.

Texts of a few words could be of many languages, so nothing is said of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from core.arrays import Array

FEWEST_LETTERS = 20
SURE = 0.6  # chance of a language from which it is believed
LONGEST = 500  # characters that are read


def strange(outputs: Sequence[str], texts: Sequence[Any]) -> Array:
    """(n,) 1 where an output is not in the language of its request, else 0; NaN where one of the two is
    too short to say."""
    found = [
        _differ(language(prose(o)), language(str(t or ""))) for o, t in zip(outputs, texts, strict=True)
    ]
    return np.array(found, dtype=float)


def _differ(one: str, other: str) -> float:
    return float(one != other) if one and other else np.nan


def language(text: str) -> str:
    """Its code (ISO 639); "" where it is too short to say.

    >>> language("Your card is on its way and should arrive on Monday."), language("hi")
    ('en', '')
    """
    start = text[:LONGEST]
    if sum(map(str.isalpha, start)) < FEWEST_LETTERS:
        return ""
    code, chance = _identifier().classify(start)
    return str(code) if chance >= SURE else ""


def prose(output: str) -> str:
    """What is language in an output: of JSON its texts, without those that are one word (names).

    >>> prose('{"name": "alarm_set", "arguments": {"time": "seven in the morning"}}')
    'seven in the morning'
    """
    try:
        return " ".join(_texts(json.loads(output)))
    except (ValueError, RecursionError):
        return output


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and " " in value.strip():
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
