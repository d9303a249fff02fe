"""What users say of an answer without saying what is right, and how right it makes the answer."""

from __future__ import annotations

import math
from typing import Any

from core.cells import unstorable
from core.ids import is_uuid7
from core.records.answers import Said

LONGEST = 10_000  # characters of a comment


def word(kind: Said, value: Any) -> str:
    """As it is stored. Raises ValueError that says what was expected.

    >>> word("rating", 0.75), word("thumbs", "up")
    ('0.75', 'up')
    """
    return {"thumbs": _thumb, "rating": _rating, "preference": _preferred, "comment": _comment}[kind](
        value
    )


def score(kind: Said, value: str) -> float | None:
    """How right it says that the answer is, 0..1; None where it does not say.

    >>> score("thumbs", "down"), score("rating", "0.75"), score("comment", "well")
    (0.0, 0.75, None)
    """
    if kind == "thumbs":
        return float(value == "up")
    return float(value) if kind == "rating" else None


def _thumb(value: Any) -> str:
    if value not in ("up", "down"):
        raise ValueError("thumbs are up or down")
    return str(value)


def _rating(value: Any) -> str:
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 <= found <= 1:
        raise ValueError("a rating is a number from 0 to 1; one of 1 to 5 stars is (stars - 1) / 4")
    return repr(found)


def _preferred(value: Any) -> str:
    if not isinstance(value, str) or not is_uuid7(value):
        raise ValueError("a preference names the prediction_id of the answer that is worse")
    return value


def _comment(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a comment is a text")
    if len(value) > LONGEST:
        raise ValueError(f"a comment has {LONGEST:,} characters at most, this one {len(value):,}")
    if why := unstorable(value):
        raise ValueError(f"a comment with {why}")
    return value
