"""When two texts are the same one."""

from __future__ import annotations

import re

SIGNS = re.compile(r"[\W_]+")


def normal(text: str) -> str:
    """What two texts must share to count as the same one across the fence.

    >>> normal("  Where IS\\tmy card? ")
    'where is my card?'
    """
    return " ".join(text.casefold().split())


def words(text: str) -> str:
    """What is left of a text without its signs: two texts that differ in no word are near-copies.

    >>> words("Where's my card?!") == words("where s my  CARD")
    True
    >>> words("?!")
    '?!'
    """
    return SIGNS.sub(" ", text.casefold()).strip() or normal(text)
