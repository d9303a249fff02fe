"""Plain numbers about a text, cheap enough for every row. One line here is one more of them.

All texts are looked at as one long row of characters, and of each different character once: whether it
is a letter, a digit or a space. The numbers are sums over each text's part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from core.arrays import Array


@dataclass(frozen=True)
class Characters:
    """The c characters of n texts, one text after the other."""

    ends: Array  # (n,) where each text ends
    kinds: Array  # (k,) the different characters, as strings
    codes: Array  # (c,) which of them each one is

    @property
    def lengths(self) -> Array:
        return np.diff(self.ends, prepend=0)

    def are(self, kind: Callable[[str], bool]) -> Array:
        """(c,) whether each one is of a kind."""
        return np.array([kind(k) for k in self.kinds], dtype=bool)[self.codes]

    def count(self, chosen: Array) -> Array:
        """(n,) how many of (c,) chosen ones each text has."""
        sums = np.concatenate([[0], np.cumsum(chosen)])
        return np.diff(sums[self.ends], prepend=0)

    def share(self, kind: Callable[[str], bool]) -> Array:
        """(n,) which part of each text is of a kind; of no text, none."""
        return np.asarray(self.count(self.are(kind)) / np.maximum(1, self.lengths))


def _words(of: Characters) -> Array:
    """As many as `text.split()` has: characters that are no space, and come first or after one."""
    space = of.are(str.isspace)
    first = np.zeros(len(space) + 1, dtype=bool)  # an empty text begins where the next one does
    first[np.concatenate([[0], of.ends])] = True
    return of.count(~space & (first[:-1] | np.concatenate([[True], space[:-1]])))


DESCRIPTORS: dict[str, Callable[[Characters], Array]] = {
    "characters": lambda of: of.lengths,
    "words": _words,
    "characters a word": lambda of: of.lengths / (1 + of.count(of.are(" ".__eq__))),
    "digits": lambda of: of.share(str.isdigit),
    "capitals": lambda of: of.share(str.isupper),
    "letters": lambda of: of.share(str.isalpha),
}


def describe(texts: Iterable[str]) -> Array:
    """(n, k) numbers, in the order of DESCRIPTORS.

    >>> describe(["Call 112"]).round(2).tolist()
    [[8.0, 2.0, 4.0, 0.38, 0.12, 0.5]]
    """
    of = _characters(list(texts))
    return np.column_stack([f(of) for f in DESCRIPTORS.values()]).astype(float)


def _characters(texts: list[str]) -> Characters:
    ends = np.cumsum([len(t) for t in texts], dtype=np.int64)
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    there = np.zeros(int(points.max(initial=0)) + 1, dtype=bool)
    there[points] = True
    found = np.flatnonzero(there)
    place = np.zeros(len(there), dtype=np.int32)
    place[found] = np.arange(len(found))
    kinds = np.array([chr(p) for p in found], dtype=object)
    return Characters(ends, kinds, place[points])
