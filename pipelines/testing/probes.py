"""The texts that are asked: made from the fixed evaluation set alone and chosen by a hash of each text.

A later version of the data asks the same texts again, so the encoder reads each of them once in the
life of a workspace.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.arrays import Frame

MANNERS = ("hi there, {}", "please {}", "{} please", "{}, thanks", "hello! {} thank you")


@dataclass(frozen=True)
class Probe:
    """One question: the texts it was made from, the labels they have, and the text to ask."""

    sources: tuple[str, ...]
    labels: tuple[str, ...]
    text: str


def change_case(text: str, _draw: int = 0) -> str:
    """
    >>> change_case("Close my account"), change_case("HELP")
    ('CLOSE MY ACCOUNT', 'help')
    """
    return text.upper() if text.upper() != text else text.lower()


def slip(text: str, draw: int = 0) -> str:
    """Two neighbouring inner letters of one word of four letters or more, swapped.

    >>> slip("close my account", 0), slip("close my account", 1), slip("ok")
    ('colse my account', 'close my acocunt', 'ok')
    """
    words = [m for m in re.finditer(r"\w{4,}", text) if len(set(m[0][1:-1])) > 1]
    if not words:
        return text
    word = words[draw % len(words)]
    places = [i for i in range(word.start() + 1, word.end() - 2) if text[i] != text[i + 1]]
    i = places[draw // len(words) % len(places)]
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def politely(text: str, draw: int = 0) -> str:
    """
    >>> politely("close my account", 2)
    'close my account please'
    """
    return MANNERS[draw % len(MANNERS)].format(text)


def changed(rows: Frame, change: Callable[[str, int], str], n: int, seed: int) -> list[Probe]:
    """The first n texts, in the order of their hash, that the change does change.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"input": ["HI", "help", "42"], "target": ["a", "b", "c"]})
    >>> sorted(p.text for p in changed(rows, change_case, n=5, seed=0))
    ['HELP', 'hi']
    """
    asked = (
        Probe((text,), (label,), change(text, _draw(f"{change.__name__} how", seed, text)))
        for text, label in _in_order(rows, change.__name__, seed)
    )
    return [p for p in asked if p.text != p.sources[0]][:n]


def joined(rows: Frame, same: bool, n: int, seed: int) -> list[Probe]:
    """Two texts one after the other, of the same label or of two different ones; no text is used twice.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"input": ["one.", "two", "six"], "target": ["odd", "even", "even"]})
    >>> {p.labels for p in joined(rows, same=True, n=5, seed=0)}
    {('even', 'even')}
    """
    return list(_couples(_in_order(rows, f"joined {same}", seed), same))[:n]


def _couples(rows: list[tuple[str, str]], same: bool) -> Iterator[Probe]:
    while rows:
        (text, label), *rows = rows
        other = next((row for row in rows if (row[1] == label) == same), None)
        if other is not None:
            rows.remove(other)
            yield Probe((text, other[0]), (label, other[1]), f"{text.rstrip('.!? ')}. {other[0]}")


def _in_order(rows: Frame, salt: str, seed: int) -> list[tuple[str, str]]:
    """Each text once with its label, in an order that adding or moving rows does not disturb."""
    pairs = dict(zip(rows["input"], rows["target"], strict=True)).items()
    return sorted(pairs, key=lambda row: (_draw(salt, seed, row[0]), row[0]))


def _draw(salt: str, seed: int, text: str) -> int:
    digest = hashlib.blake2b(f"{salt}\x1f{seed}\x1f{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
