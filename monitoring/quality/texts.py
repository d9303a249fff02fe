"""What can be counted of many texts at once: their words as numbers, in arrays and not one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from core.arrays import Array, Frame

GRAM = 4  # words of the n-grams whose repetition counts
CHARACTERS = 4000  # of a text that are looked at
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # written without spaces: each sign is a word
WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing (Fibonacci hashing)


@dataclass(frozen=True)
class Words:
    """The w words of n texts, in order."""

    texts: int  # n
    rows: Array  # (w,) whose word it is
    codes: Array  # (w,) which word it is


def describe(ours: Sequence[Any], theirs: Sequence[Any]) -> tuple[Frame, Frame]:
    """One row a text, for the texts of a window and of its reference.

    characters, words; unseen: words that no text of the reference holds (of a reference text: that no
    other one holds); grams, repeated: runs of GRAM words, and those of them that were there before in
    the same text (seq-rep-4 of Welleck et al. 2020 is repeated / grams). NaN where there is no text.
    """
    table: dict[str, int] = {}
    known, fresh = _words(theirs, table), _words(ours, table)
    holding = _holding(known, len(table))
    return _frame(ours, fresh, holding == 0), _frame(theirs, known, holding == 1)


def _words(texts: Sequence[Any], table: dict[str, int]) -> Words:
    found = [WORD.findall(t[:CHARACTERS].lower()) if isinstance(t, str) else [] for t in texts]
    counts = np.array([len(words) for words in found], dtype=np.int64)
    codes = [table.setdefault(word, len(table)) for word in chain.from_iterable(found)]
    rows = np.repeat(np.arange(len(found)), counts)
    return Words(len(found), rows, np.array(codes, dtype=np.int64))


def _holding(words: Words, size: int) -> Array:
    """(size,) how many of the texts hold each word."""
    pairs = np.unique(words.rows * size + words.codes) if size else np.zeros(0, dtype=np.int64)
    return np.bincount(pairs % max(size, 1), minlength=size)


def _frame(texts: Sequence[Any], words: Words, unseen: Array) -> Frame:
    import pandas as pd

    there = np.array([isinstance(t, str) for t in texts], dtype=bool)
    grams, repeated = _grams(words)
    counts = {
        "characters": np.array([len(t) if isinstance(t, str) else 0 for t in texts], dtype=float),
        "words": np.bincount(words.rows, minlength=words.texts),
        "unseen": np.bincount(words.rows[unseen[words.codes]], minlength=words.texts),
        "grams": grams,
        "repeated": repeated,
    }
    return pd.DataFrame({name: np.where(there, x, np.nan) for name, x in counts.items()})


def _grams(words: Words) -> tuple[Array, Array]:
    """(n,) runs of GRAM words of each text, and (n,) those that repeat an earlier one."""
    starts = max(0, len(words.codes) - GRAM + 1)
    rows = words.rows[:starts]
    whole = rows == words.rows[len(words.rows) - starts :]  # the run ends in the text it began in
    names = rows.astype(np.uint64)
    for i in range(GRAM):
        names = names * _MIX + words.codes[i : i + starts].astype(np.uint64)
    rows, names = rows[whole], names[whole]
    again = np.ones(len(rows), dtype=bool)
    again[np.unique(names, return_index=True)[1]] = False
    count = np.bincount(rows, minlength=words.texts)
    return count, np.bincount(rows[again], minlength=words.texts)
