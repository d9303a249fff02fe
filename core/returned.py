"""What a policy gave back, held against what its stage asks for.

Each stage checks it once, where it takes it, whoever wrote the policy. So a mistake is one error that
names the policy, and not a fault of some later stage, which knows nothing of it.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NoReturn

from core.errors import PolicyError

LONGEST = 120  # characters of a value that an error shows


def wrong(policy: object, verb: str, got: str, expected: str) -> NoReturn:
    """Raises PolicyError: `verb` of this policy (the section, or its name) returned `got`."""
    name = policy if isinstance(policy, str) else getattr(policy, "policy", type(policy).__name__)
    laws = f"; pytest --pyargs everloop.laws --policy {name} finds more" if ":" in name else ""
    raise PolicyError(
        "a policy returned what cannot be used",
        where=f"{name}, {verb}",
        got=got,
        expected=expected,
        do=f"mend its class{laws}",
    )


def shown(value: Any) -> str:
    """A value of any class, in one short line.

    >>> shown(None), shown(["a"]), shown("x" * 200)[:6]
    ('None', "a list, ['a']", 'a str,')
    """
    if value is None:
        return "None"
    try:
        text = " ".join(repr(value).split())
    except Exception as fault:  # its own __repr__ may be as wrong
        text = f"its repr raises {type(fault).__name__}"
    article = "an" if type(value).__name__[0] in "aeiouAEIOU" else "a"
    return f"{article} {type(value).__name__}, {text[:LONGEST]}{'...' * (len(text) > LONGEST)}"


def finite(value: Any) -> bool:
    """Whether it is a number that can be counted with.

    >>> finite(1), finite(float("nan")), finite(True), finite("1")
    (True, False, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
