"""When two texts are the same one."""

from __future__ import annotations


def normal(text: str) -> str:
    """What two texts must share to count as the same one across the fence.

    >>> normal("  Where IS\\tmy card? ")
    'where is my card?'
    """
    return " ".join(text.casefold().split())
