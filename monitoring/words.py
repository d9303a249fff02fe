"""The words that came and went: informative log-odds with a Dirichlet prior, each as a z-score
(Monroe, Colaresi and Quinn, "Fightin' Words", 2008, eq. 16-22).

A word counts once in a text, so one text that repeats itself is one witness. Words are what stands
between spaces and punctuation, in any language that writes them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

INSIDE = "'’-"  # part of a word when letters stand on both sides
PRIOR = 500.0  # words' worth of trust in the usual share of a word
MIN_TEXTS = 3  # a word of fewer texts is a person's, not a change
ALPHA = 0.05  # chance that any word of the vocabulary is named by luck


@dataclass(frozen=True)
class Word:
    word: str
    now: int  # texts of the window that have it
    before: int  # texts of the reference that have it
    z: float  # of the log-odds; positive: came


class _Spaces(dict[int, int]):
    """Marks, symbols and control characters to spaces; letters, digits and combining marks stay."""

    def __missing__(self, code: int) -> int:
        char = chr(code)
        keep = char in INSIDE or unicodedata.category(char)[0] in "LNM"
        self[code] = code if keep else 32
        return self[code]


_SPACES = _Spaces()


def words(text: str) -> list[str]:
    """The different words of a text, in order; numbers are none.

    >>> words("Où est l'Étoile? 24 km -- l'étoile, well-known!")
    ['où', 'est', "l'étoile", 'km', 'well-known']
    >>> words("मेरा कार्ड कहाँ है?")
    ['मेरा', 'कार्ड', 'कहाँ', 'है']
    """
    plain = unicodedata.normalize("NFC", text.casefold()).translate(_SPACES)
    stripped = (word.strip(INSIDE) for word in plain.split())
    return list(dict.fromkeys(w for w in stripped if w and not w.isdigit()))


def counts(texts: Iterable[str]) -> Counter[str]:
    """How many texts have each word."""
    return Counter(word for text in texts for word in words(text))


def changed(window: Sequence[str], reference: Sequence[str]) -> list[Word]:
    """Words whose share of all words differs by more than luck, the surest first.

    A word is named when |z| is beyond the normal quantile of ALPHA over the size of the vocabulary
    (Bonferroni).

    >>> changed(["new tyre"] * 40 + ["my card"] * 40, ["my card"] * 400)[0].word
    'new'
    """
    found = weighed(window, reference)
    limit = float(norm.isf(ALPHA / 2 / max(1, len(found))))
    return [w for w in found if abs(w.z) > limit]


def weighed(window: Sequence[str], reference: Sequence[str]) -> list[Word]:
    """Every word of MIN_TEXTS texts at least, the surest to differ first. The prior is the words of
    both sides together."""
    ours, theirs = counts(window), counts(reference)
    vocabulary = sorted(w for w in ours | theirs if ours[w] + theirs[w] >= MIN_TEXTS)
    if not ours or not theirs or not vocabulary:
        return []
    n, m = float(ours.total()), float(theirs.total())
    y, x = (np.array([c[w] for w in vocabulary], dtype=float) for c in (ours, theirs))
    prior = PRIOR * (y + x) / (n + m)
    a, b = y + prior, x + prior
    log_odds = np.log(a / (n + PRIOR - a)) - np.log(b / (m + PRIOR - b))
    z = log_odds / np.sqrt(1 / a + 1 / b)
    order = np.argsort(-np.abs(z), kind="stable")
    return [Word(vocabulary[i], int(y[i]), int(x[i]), float(z[i])) for i in order]
