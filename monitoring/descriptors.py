"""Plain numbers about a text, cheap enough for every row. One line here is one more of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from core.records import Array

DESCRIPTORS: dict[str, Callable[[str], float]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "characters a word": lambda text: len(text) / (1 + text.count(" ")),
    "digits": lambda text: sum(map(str.isdigit, text)) / max(1, len(text)),
    "capitals": lambda text: sum(map(str.isupper, text)) / max(1, len(text)),
    "letters": lambda text: sum(map(str.isalpha, text)) / max(1, len(text)),
}


def describe(texts: Iterable[str]) -> Array:
    """(n, k) numbers, in the order of DESCRIPTORS.

    >>> describe(["Call 112"]).round(2).tolist()
    [[8.0, 2.0, 4.0, 0.38, 0.12, 0.5]]
    """
    rows = [[f(text) for f in DESCRIPTORS.values()] for text in texts]
    return np.array(rows, dtype=float).reshape(-1, len(DESCRIPTORS))
