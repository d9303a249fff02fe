"""When two texts are the same one, and how a message counts and lists."""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def counted(n: int, thing: str) -> str:
    """
    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1200 rows')
    """
    return f"{n} {thing}{'' if n == 1 else 's'}"


def first_few(names: Sequence[str], most: int) -> str:
    """
    >>> first_few("abcdefg", 5)
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
