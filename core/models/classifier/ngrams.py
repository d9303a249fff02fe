"""Character n-grams as an encoder: any language, no download, a text in a tenth of a millisecond.

    model: {encoder: ngrams}    the n-grams alone
    model: {encoder: both}      the default encoder's embedding, and theirs beside it

N-grams of 1 to 3 characters within words are counted, with marks where a text begins and ends. They
are hashed (Weinberger et al. 2009) and projected by signs that are hashed, too (Charikar, Chen and
Farach-Colton 2002): nothing is learnt or stored.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from core.arrays import Array
from core.errors import ModelError
from core.models.classifier.batches import Tokens
from core.models.classifier.encoder import BOTH, NGRAMS, Encoder

DIM = 2048  # as many numbers as keep two texts apart: 1,024 cost three points on short Korean texts
HASHED = 2**18
MOST_TOKENS = 8192  # said where no text is cut
NAMED = "name an encoder in params.yaml, model.encoder"
WEIGHT = 0.5  # of the n-grams beside an encoder
VERSION = f"char_wb 1-3, ends, NFC, log, {HASHED} -> {DIM}"  # what an embedding depends on


def counted(texts: Sequence[str]) -> Any:
    """(n, HASHED) sparse, each row of length 1: the n-grams themselves, for what is not stored."""
    from sklearn.preprocessing import normalize

    counts = _counter().transform([f"\x02{unicodedata.normalize('NFC', t)}\x03" for t in texts])
    counts.data = 1 + np.log(counts.data)
    return normalize(counts)


def embedded(texts: Sequence[str]) -> Array:
    """(n, DIM) float32, each row of length 1.

    >>> a, b, c = embedded(["lost card", "lost cards", "rain"])
    >>> bool(a @ b > 0.8 > 0.4 > a @ c)
    True
    """
    from sklearn.preprocessing import normalize

    if not len(texts):
        return np.zeros((0, DIM), np.float32)
    return np.asarray(normalize((counted(texts) @ _projection()).toarray()), np.float32)


@dataclass(eq=False)
class NgramEncoder(Encoder):
    """No weights, no files; `beside` is an encoder whose embedding comes first."""

    beside: Encoder | None = None

    @property
    def identity(self) -> str:
        """Equal identities give equal embeddings."""
        beside = f"+{self.beside.identity}" if self.beside else ""
        return f"ngrams@{self.sha256[:8]}/{DIM}{beside}"

    @property
    def file(self) -> Path:
        """Raises ModelError."""
        raise ModelError("n-grams have no weights", where="model.encoder", got=self.name, do=NAMED)

    @cached_property
    def model(self) -> Any:
        """Raises ModelError."""
        return self.file

    @cached_property
    def tokens(self) -> Tokens:
        """Those of the encoder beside. N-grams alone have no vocabulary: no token is unknown."""
        return self.beside.tokens if self.beside else cast(Tokens, _Whole())

    def encode(self, texts: Sequence[str]) -> Array:
        """(n, dim) float16, each of length 1."""
        self._count(len(texts))
        own = embedded(texts)
        if self.beside is None:
            return own.astype(np.float16)
        both = np.hstack([self.beside.encode(texts).astype(np.float32), WEIGHT * own])
        return np.asarray(both / np.sqrt(1 + WEIGHT**2), np.float16)

    together = encode

    def load(self) -> None:
        """Read everything now."""
        _projection()
        if self.beside:
            self.beside.load()

    def on(self, runtime: str) -> Encoder:
        """The encoder beside on another runtime; n-grams alone need none."""
        return ngrams(self.beside.on(runtime)) if self.beside else self


def ngrams(beside: Encoder | None = None) -> NgramEncoder:
    """The n-grams alone, or beside an encoder."""
    depends = f"{VERSION}{beside.sha256 if beside else ''}"
    sha256 = hashlib.sha256(depends.encode()).hexdigest()
    if beside is None:
        return NgramEncoder(NGRAMS, Path(), sha256, DIM, MOST_TOKENS)
    dim = beside.dim + DIM
    return NgramEncoder(BOTH, Path(), sha256, dim, beside.max_tokens, beside.runtime, beside=beside)


class _Whole:
    """In place of a tokenizer: all of a text is read."""

    def unknown(self, texts: Sequence[str]) -> Array:
        return np.full(len(texts), np.nan)

    def cut(self, texts: Sequence[str]) -> int:  # noqa: ARG002  as a tokenizer has it
        return 0


@cache
def _counter() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(1, 3), n_features=HASHED, norm=None, alternate_sign=False
    )


@cache
def _projection() -> Any:
    """(HASHED, DIM) one sign in each row; by a hash, so that it is the same with any numpy."""
    from scipy.sparse import csr_matrix
    from sklearn.utils import murmurhash3_32

    hashed = murmurhash3_32(np.arange(HASHED, dtype=np.int32), seed=1).astype(np.int64)
    signs = ((hashed & 1) * 2 - 1).astype(np.float32)
    return csr_matrix((signs, (hashed >> 1) % DIM, np.arange(HASHED + 1)), shape=(HASHED, DIM))
