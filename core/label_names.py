"""What a label is called: one spelling of each, made at every door and again wherever one is read.

    normal(" bank\\u00a0 balance")     'bank balance'
    normal(4.0), normal("4.0")        '4', '4'

People see no difference between these spellings, and a file format cannot keep some of them apart (a
column of whole numbers with one empty cell comes back as 4.0). So they must be one label.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np

from core.readers import nearest
from core.texts import counted

SHOWN = 8  # labels that an error or a warning names

# Not seen, and no character of category Cf: joiners of graphemes, variation selectors, Hangul fillers.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_PICTURE = "[\u2190-\u2bff\U0001f000-\U0001faff]"
_JOINED = re.compile(f"(?<={_PICTURE})\u200d(?={_PICTURE})")  # one emoji made of several
_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+", re.ASCII)
_JOINER = "\u200d"


def normal(value: Any) -> str:
    r"""The label that a cell or a text names; "" when it names none.

    Unicode NFC. No characters that cannot be seen (zero-width, soft hyphen, control), but for the
    joiner inside an emoji. No white space around it, one space for any inside. A whole number has no
    point; 007 and 1.10 are names and stay. Capitals matter, but not in true and false.

    >>> normal("  bank\u00a0 balance\u200b"), normal("solde demande\u0301") == "solde demand\u00e9"
    ('bank balance', True)
    >>> [normal(x) for x in (4, 4.0, "4.0", "4", "-0.0", True, "True", "TRUE", None, float("nan"))]
    ['4', '4', '4', '4', '0', 'true', 'true', 'true', '', '']
    >>> [normal(x) for x in ("007", "1.10", 4.5, "Balance", 1e20, "1e+20", Decimal("4.00"))]
    ['007', '1.10', '4.5', 'Balance', '1e+20', '1e+20', '4']
    """
    return _spelled(value if isinstance(value, str) else _text(value))


def in_words(labels: Mapping[str, int], known: Iterable[str]) -> list[str]:
    """The commonest of these labels with their rows, each with the known label most like it.

    >>> in_words({"tranfer": 12, "x": 1}, ["transfer"])
    ["'tranfer' in 12 rows (did you mean 'transfer'?)", "'x' in 1 row"]
    """
    ordered, known = sorted(labels.items(), key=lambda x: (-x[1], x[0])), list(known)
    lines = []
    for label, n in ordered[:SHOWN]:
        near = nearest(label, known)
        rows = f"'{label}' in {counted(n, 'row')}"
        lines.append(rows + (f" (did you mean '{near}'?)" if near else ""))
    return [*lines, *([f"and {len(labels) - SHOWN} more labels"] if len(labels) > SHOWN else [])]


@lru_cache(maxsize=65_536)
def _spelled(text: str) -> str:
    if text.isascii() and text.isalpha() and text.islower():
        return text  # as most are
    seen = "".join(x for x in _UNSEEN.sub("", text) if _visible(x) or x == _JOINER)
    kept = seen if _JOINER not in seen else _without_joiners(seen)
    name = " ".join(unicodedata.normalize("NFC", kept).split())
    if name.lower() in ("true", "false"):
        return name.lower()
    whole = _WHOLE.fullmatch(name)
    return name if whole is None else "0" if whole[1] in ("-0", "+0") else whole[1]


def _visible(character: str) -> bool:
    """Anything but format and control characters; white space, and NUL, which others refuse, stay."""
    kind = unicodedata.category(character)
    return kind != "Cf" and (kind != "Cc" or character.isspace() or character == "\x00")


def _without_joiners(text: str) -> str:
    """A joiner is left where it makes one emoji of two."""
    within = {m.start() for m in _JOINED.finditer(text)}
    return "".join(x for i, x in enumerate(text) if x != _JOINER or i in within)


def _text(value: Any) -> str:
    """A cell of any file type as a text, as CSV would have it."""
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or type(plain).__name__ in ("NAType", "NaTType") or plain != plain:
        return ""
    if isinstance(plain, (bool, list, dict)):
        return json.dumps(plain, ensure_ascii=False, default=str)
    if isinstance(plain, datetime) and plain.tzinfo is None and plain.time() == time():
        return str(plain.date())
    return format(plain, "f") if isinstance(plain, Decimal) else str(plain)
