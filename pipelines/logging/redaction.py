r"""What must not be stored is cut out of a text first, and a placeholder says what was there.

No pattern that ships can backtrack far: runs are possessive or bounded. A pattern of the user's has
`SEARCH_SECONDS` for a text; where it is not done by then, the whole text is cut out.

>>> clean = cleaner(["email", "card"], {}, "")
>>> clean("ana@example.org paid with 4111 1111 1111 1111, order 4111 1111 1111 1112")
'[EMAIL] paid with [CARD], order 4111 1111 1111 1112'
"""

from __future__ import annotations

import importlib
import ipaddress
import re
from collections.abc import Callable, Sequence

import regex

from core.cells import unstorable
from core.errors import ParamsError, RowError

SEARCH_SECONDS = 0.2  # of this process's time
Clean = Callable[[str], str]
Found = Callable[[str], int]  # how many leading characters of a match are what it looks like


def luhn(text: str) -> int:
    """A card number's last digit checks the others (ISO/IEC 7812-1); an order number's does not."""
    digits = [int(c) for c in reversed(text) if c.isdigit()]
    twice = sum(d * 2 - 9 * (d > 4) for d in digits[1::2])
    return len(text) if (sum(digits[::2]) + twice) % 10 == 0 else 0


def mod97(text: str) -> int:
    """An account number's check digits (ISO 13616); words behind it are not part of it."""
    for end in [len(text), *(m.start() for m in reversed(list(re.finditer(" ", text))))]:
        plain = text[:end].replace(" ", "").upper()
        if len(plain) >= 15 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1:
            return end
    return 0


def address(text: str) -> int:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return 0
    return len(text) if any(c.isalnum() for c in text) else 0


def telephone(text: str) -> int:
    """Seven to fifteen digits (E.164) that are written as people write telephone numbers: not a date,
    an amount or an order number."""
    digits = sum(c.isdigit() for c in text)
    date = re.fullmatch(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}", text)
    dialled = text[0] in "+(" or (text[0] == "0" and text[1] not in ".,")
    american = re.fullmatch(r"(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]\d{4}|\d{3}-\d{4}", text)
    return len(text) if 7 <= digits <= 15 and not date and (dialled or american) else 0


PATTERNS: dict[str, tuple[re.Pattern[str], Found]] = {  # in the order in which they are applied
    "url": (re.compile(r"""(?i)\b(?:(?:https?|ftp)://|www\.)[^\s<>"']++"""), len),
    "email": (re.compile(r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)++"), len),
    "iban": (re.compile(r"(?i)\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,4})?\b"), mod97),
    "card": (
        re.compile(
            r"(?<!\d)(?:\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}[ -]\d{6}[ -]\d{5}|\d{13,19})(?!\d)"
        ),
        luhn,
    ),
    "ip": (
        re.compile(
            r"(?i)(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)|"
            r"(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:]))"
        ),
        address,
    ),
    "phone": (re.compile(r"(?<![\w+])[+(]?\d[\d ()./-]{5,20}\d(?!\w)"), telephone),
}


def check_names(names: list[str]) -> list[str]:
    for name in names:
        if name not in PATTERNS:
            raise ValueError(f"some of {', '.join(PATTERNS)}, not {name!r}")
    return names


def check_patterns(patterns: dict[str, str]) -> dict[str, str]:
    for name, pattern in patterns.items():
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"a name of letters, digits and _, not {name!r}")
        try:
            re.compile(pattern)
            regex.compile(pattern)
        except (re.error, regex.error) as fault:
            raise ValueError(f"a regular expression: {name}: {fault}") from None
    return patterns


def cleaner(names: Sequence[str], patterns: dict[str, str], hook: str) -> Clean:
    """One function that does it all. Raises ParamsError when the hook cannot be had."""
    steps = [_cut(name, *PATTERNS[name]) for name in PATTERNS if name in names]
    steps += [_bounded(name, pattern) for name, pattern in patterns.items()]
    steps += [_checked(_hook(hook), hook)] if hook else []

    def clean(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return clean


def _cut(name: str, pattern: re.Pattern[str], found: Found) -> Clean:
    placeholder = f"[{name.upper()}]"

    def put(match: re.Match[str]) -> str:
        text = match.group()
        end = found(text)
        return placeholder + text[end:] if end else text

    return lambda text: pattern.sub(put, text)


def _bounded(name: str, pattern: str) -> Clean:
    """The same for a pattern of the user's, which may need exponential time: nothing is stored that was
    not searched, and no caller can hold up the log."""
    placeholder, known = f"[{name.upper()}]", regex.compile(pattern)

    def cut(text: str) -> str:
        try:
            cleaned: str = known.sub(lambda m: placeholder * bool(m[0]), text, timeout=SEARCH_SECONDS)
        except TimeoutError:
            return placeholder
        return cleaned

    return cut


def _hook(name: str) -> Clean:
    """The function MODULE:FUNCTION. Raises ParamsError."""
    module, _, function = name.partition(":")
    try:
        made: Clean = getattr(importlib.import_module(module), function)
        if not callable(made):
            raise ValueError(type(made).__name__)
    except (ImportError, AttributeError, ValueError) as fault:
        raise ParamsError(
            "the function that redacts cannot be used",
            where=f"logging.redact_with: {name}",
            got=str(fault),
            expected="MODULE:FUNCTION, a function of a text that returns a text",
            do="put the module's folder on PYTHONPATH, or mend the name in params.yaml",
        ) from None
    return made


def _checked(hook: Clean, name: str) -> Clean:
    def checked(text: str) -> str:
        made = hook(text)
        if isinstance(made, str) and not unstorable(made):
            return made
        raise RowError(
            "the function that redacts gave no text that can be stored",
            where=f"logging.redact_with: {name}",
            got=f"a {type(made).__name__}",
            expected="a text in Unicode",
        )

    return checked
