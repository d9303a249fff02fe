"""Texts as the encoder takes them: token ids in batches of similar length, padded little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.arrays import Array
from core.models.files import Vocabulary

MOST = 32  # rows of a batch: more are no faster, and a larger one leaves the processor's cache
FEW = 8  # rows below which a batch is not split for the sake of padding
POOR_TOKENS, POOR_UNKNOWN = 0.8, 0.2
WASTE = 1.5  # a batch's longest text over its shortest, at most


@dataclass(frozen=True, eq=False)
class PaddedTexts:
    """Some of the texts, by their positions in the call, padded to the longest of them."""

    rows: Array  # (n,)
    ids: Array  # (n, tokens) int64
    mask: Array  # (n, tokens) int64: 1 where there is a token


@dataclass(frozen=True)
class Reading:
    """How well a tokenizer reads some texts. Of English, MiniLM's makes 0.25 tokens of a character."""

    tokens: float  # of a character
    unknown: float  # share of tokens that the vocabulary lacks

    @property
    def poor(self) -> bool:
        """Whether it makes single letters of the texts, or knows them not."""
        return self.tokens > POOR_TOKENS or self.unknown > POOR_UNKNOWN


class Tokens:
    """A tokenizer, cut to `max_tokens`, that many threads may use at once."""

    def __init__(self, vocabulary: Vocabulary, max_tokens: int) -> None:
        self._raw = vocabulary.raw
        self._raw.no_padding()
        self._raw.enable_truncation(max_tokens)
        self._pad, self._unknown = vocabulary.pad or 0, vocabulary.unknown

    def batch(self, texts: Sequence[str]) -> PaddedTexts:
        """All texts in one batch, in their order."""
        return self._padded(np.arange(len(texts)), self._ids(texts))

    def batches(self, texts: Sequence[str]) -> list[PaddedTexts]:
        """Every text in one of several batches; one pass of the tokenizer."""
        ids = self._ids(texts)
        return [self._padded(rows, ids) for rows in by_length([len(i) for i in ids])]

    def unknown(self, texts: Sequence[str]) -> Array:
        """(n,) share of each text's tokens that the vocabulary lacks; NaN for one without any."""
        read = self._raw.encode_batch_fast(list(texts), add_special_tokens=False)
        shares = [e.ids.count(self._unknown) / len(e.ids) if e.ids else np.nan for e in read]
        return np.array(shares, dtype=float)

    def reading(self, texts: Sequence[str]) -> Reading:
        """How it reads the texts, those that are cut left out."""
        read = zip(self._raw.encode_batch(list(texts)), texts, strict=True)
        whole = [(len(e.ids) - 2, len(t)) for e, t in read if not e.overflowing]
        tokens, letters = (sum(part) for part in zip(*whole, strict=True)) if whole else (0, 0)
        shares = self.unknown(texts)
        unknown = float(np.nanmean(shares)) if np.isfinite(shares).any() else 0.0
        return Reading(tokens / max(letters, 1), unknown)

    def cut(self, texts: Sequence[str]) -> int:
        """How many texts are longer than `max_tokens`."""
        return sum(bool(e.overflowing) for e in self._raw.encode_batch_fast(list(texts)))

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self._raw.encode_batch_fast(list(texts))]

    def _padded(self, rows: Array, ids: list[list[int]]) -> PaddedTexts:
        width = max([2, *(len(ids[i]) for i in rows)])  # an exported graph knows no single token
        padded = np.full((len(rows), width), self._pad, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for at, i in enumerate(rows):
            padded[at, : len(ids[i])] = ids[i]
            mask[at, : len(ids[i])] = 1
        return PaddedTexts(rows, padded, mask)


def by_length(lengths: Sequence[int]) -> Iterator[Array]:
    """Positions of all texts, shortest first, in groups that waste little on padding.

    >>> [rows.tolist() for rows in by_length([9, 3, 4])]
    [[1, 2, 0]]
    >>> [len(rows) for rows in by_length([5] * 40 + [50] * 10)]
    [32, 8, 10]
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    for at in range(1, len(order) + 1):
        rows = at - start
        full = at == len(order) or rows == MOST
        if full or (rows >= FEW and lengths[order[at]] > WASTE * lengths[order[start]]):
            yield order[start:at]
            start = at
