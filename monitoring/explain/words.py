"""The words that came and went: informative log-odds with a Dirichlet prior, each as a z-score
(Monroe, Colaresi and Quinn, "Fightin' Words", 2008, eq. 16-22).

A word counts once in a text, so a text that repeats itself weighs no more. Words are what stands
between spaces and punctuation, in any language that writes them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array

INSIDE = "'’-"  # part of a word when letters stand on both sides
PRIOR = 500.0  # words' worth of trust in the usual share of a word
MIN_TEXTS = 3  # a word of fewer texts is a person's, not a change
ALPHA = 0.05
NOTABLE = 1.96  # z


@dataclass(frozen=True)
class WordShift:
    word: str
    now: int  # texts of the window that have it
    before: int  # texts of the reference that have it
    z: float  # of the log-odds; positive: came
    p: float  # that luck makes such a difference


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


def document_frequencies(texts: Iterable[str]) -> Counter[str]:
    """How many texts have each word."""
    return Counter(word for text in texts for word in words(text))


def word_shifts(window: Sequence[str], reference: Sequence[str]) -> list[WordShift]:
    """Every word of MIN_TEXTS texts at least, the surest to differ first. The prior of the log-odds is
    the words of both sides together; `p` is of Fisher's exact test on how many texts have the word.

    >>> word_shifts(["new tyre"] * 40 + ["my card"] * 40, ["my card"] * 400)[0].word
    'new'
    """
    ours, theirs = document_frequencies(window), document_frequencies(reference)
    return _word_shifts(sorted(ours | theirs), ours, ours + theirs, (len(window), len(reference)))


def typical_words(part: Sequence[str], whole: Counter[str], texts: int) -> list[WordShift]:
    """The words of some of so many `texts` beside the rest, as `word_shifts` has them. `whole` has the
    counts of all, so that many parts are compared at the cost of one."""
    ours = document_frequencies(part)
    return _word_shifts(sorted(ours), ours, whole, (len(part), texts - len(part)))


def _word_shifts(
    words: Iterable[str], ours: Counter[str], whole: Counter[str], texts: tuple[int, int]
) -> list[WordShift]:
    vocabulary = [w for w in words if whole[w] >= MIN_TEXTS]
    n = ours.total()
    m = whole.total() - n
    if not n or not m or not vocabulary:
        return []
    y = np.array([ours[w] for w in vocabulary])
    x = np.array([whole[w] for w in vocabulary]) - y
    prior = PRIOR * (y + x) / (n + m)
    a, b = y + prior, x + prior
    log_odds = np.log(a / (n + PRIOR - a)) - np.log(b / (m + PRIOR - b))
    z = log_odds / np.sqrt(1 / a + 1 / b)
    p = fisher_exact(y, x, *texts)
    order = np.argsort(-np.abs(z), kind="stable")
    return [WordShift(vocabulary[i], int(y[i]), int(x[i]), float(z[i]), float(p[i])) for i in order]


def significant(found: Sequence[WordShift]) -> list[WordShift]:
    """Those that luck does not explain: of such words, a share ALPHA is named falsely at most
    (Benjamini and Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    false = false_discovery_control([w.p for w in found]) if found else []
    return [w for w, q in zip(found, false, strict=True) if q < ALPHA]


def within(part: Sequence[str], other: Sequence[str], found: Sequence[WordShift]) -> list[WordShift]:
    """Those of `found` that are typical of some texts beside the `other` side's, and went their way.

    For texts that are known to be what changed, so a word is asked less of: z of NOTABLE here, and a
    level of ALPHA, alone, for its counts in all texts.
    """
    known = {w.word: w for w in found if w.p < ALPHA}
    typical_words = [w.word for w in word_shifts(part, other) if w.z > NOTABLE]
    return [known[w] for w in typical_words if w in known]


def fisher_exact(y: Array, x: Array, n: int, m: int) -> Array:
    """(k,) two-sided p of counts y of n and x of m rows being of one share (Fisher's exact test)."""
    from scipy.stats import hypergeom

    more, less = hypergeom.sf(y - 1, n + m, y + x, n), hypergeom.cdf(y, n + m, y + x, n)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(more, less)))
