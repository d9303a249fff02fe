"""Which encoder the first rows ask for, under `model.encoder: auto`: the default, n-grams, or both.

Each is tried by a ridge regression on rows that taught it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.arrays import Array
from core.models.base import Model
from core.models.classifier.batches import Reading
from core.models.classifier.encoder import BOTH, DEFAULT, NGRAMS
from pipelines.training.baseline import MOST, ridge
from pipelines.training.head import classifier

FEWEST = 100  # rows; with fewer it is the default
FOLDS = 4
SURE = 2.0  # standard errors that another one must be better by
WORTH = 0.02  # accuracy that it must be better by: its embeddings are six times as long


def choose_base(
    model: Model, texts: Sequence[str], labels: Sequence[str], embeddings: Array
) -> tuple[str, str]:
    """`base_encoder` where `model` is the default one and read the texts."""
    return base_encoder(texts, labels, embeddings, classifier(model).encoder.tokens.reading(texts))


def base_encoder(
    texts: Sequence[str], labels: Sequence[str], embeddings: Array, reading: Reading
) -> tuple[str, str]:
    """The encoder to take, and why; no reason where the default reads the texts and is taken."""
    from core.models.classifier.ngrams import WEIGHT, counted

    said = np.asarray(labels, str)
    if len(said) < FEWEST or len(set(said)) < 2:
        return DEFAULT, _poor(reading)
    chosen = np.random.default_rng(0).permutation(len(said))[:MOST]
    rows, said = embeddings[chosen].astype(np.float32), said[chosen]
    grams = counted([texts[i] for i in chosen])
    own, plain = rows @ rows.T, (grams @ grams.T).toarray()
    kernels = {DEFAULT: own, NGRAMS: plain, BOTH: (own + WEIGHT**2 * plain) / (1 + WEIGHT**2)}
    right = {name: _right(kernel, said) for name, kernel in kernels.items()}
    best = NGRAMS if _better(right[NGRAMS], right[DEFAULT], SURE, WORTH) else DEFAULT
    if _better(right[BOTH], right[best], SURE, WORTH):
        best = BOTH
    if best == DEFAULT:
        return DEFAULT, _poor(reading)
    tried = ", ".join(f"{name} {share.mean():.3f}" for name, share in right.items())
    why = f"encoder {best}, by a ridge regression in {FOLDS} folds of {len(said)} rows: {tried}"
    return best, f"{why}; {_poor(reading)}" if reading.poor else why


def _right(kernel: Array, labels: Array) -> Array:
    """(n,) whether each row is answered right by a regression that learnt from other folds."""
    fold, right = np.arange(len(labels)) % FOLDS, np.zeros(len(labels), bool)
    for k in range(FOLDS):
        here, rest = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        across = kernel[np.ix_(here, rest)]
        right[here] = ridge(kernel[np.ix_(rest, rest)], labels[rest].tolist(), across) == labels[here]
    return right


def _better(one: Array, than: Array, sure: float, worth: float) -> bool:
    """By more than chance allows (paired, as McNemar's test), and by as much as it is worth."""
    gain = (one.sum() - than.sum()) / len(one)
    error = np.sqrt(np.count_nonzero(one != than)) / len(one)
    return bool(gain > max(sure * error, worth))


def _poor(reading: Reading) -> str:
    if not reading.poor:
        return ""
    return (
        f"{DEFAULT} does not read these texts ({reading.tokens:.2f} tokens a character, English 0.25; "
        f"{reading.unknown:.0%} unknown): a multilingual encoder in model.encoder may be better yet"
    )
