"""Under which name somebody labels. Pages of other sites are refused before (`serving/sites.py`)."""

from __future__ import annotations

from fastapi import Request as Call

from core.cells import unstorable
from core.errors import DataError

LONGEST = 64  # characters of a name


def annotator_of(call: Call, given: str) -> str:
    """The key's name where there are keys, else the one that is given. Raises DataError for none."""
    if key := key_of(call):
        return key
    name = " ".join(given.split())
    if name and len(name) <= LONGEST and name.isprintable() and not unstorable(name):
        return name
    raise DataError(
        "nobody can be found under this name" if name else "who labels?",
        where="annotator",
        got=ascii(given[:LONGEST]),
        expected=f"a name of 1 to {LONGEST} characters that can be printed",
        do="add annotator=NAME",
    )


def key_of(call: Call) -> str:
    return str(call.scope.get("state", {}).get("key", ""))
