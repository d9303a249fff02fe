"""The plain baseline beside every model: character n-grams under a ridge regression, in a second.

It reads any language. Where it is better than a model, or near it, the model's encoder is not worth
its price, or does not read these texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.arrays import Array
from core.models.classifier.encoder import Encoder
from pipelines.training.data import Trained, TrainingData

MOST = 2000  # rows it learns from, the latest ones
RIDGE = 0.5
FEWEST = 30  # evaluation rows; with fewer nothing is said
NEAR = 0.02  # accuracy that a model must be ahead


def baseline(
    texts: Sequence[str], labels: Sequence[str], asked: Sequence[str], truth: Sequence[str]
) -> float:
    """Accuracy on the texts asked, n-grams learnt from the others."""
    from core.models.classifier.ngrams import counted

    read, tested = counted(texts[-MOST:]), counted(asked)
    kernel, across = (read @ read.T).toarray(), (tested @ read.T).toarray()
    return float(np.mean(ridge(kernel, labels[-MOST:], across) == np.asarray(truth, str)))


def ridge(kernel: Array, labels: Sequence[str], across: Array) -> Array:
    """(m,) labels of rows whose products with the n known ones are `across` (m, n)."""
    from scipy.linalg import solve

    names, codes = np.unique(np.asarray(labels, str), return_inverse=True)
    share = np.bincount(codes) / len(codes)
    regularized = kernel + RIDGE * np.eye(len(kernel), dtype=kernel.dtype)
    weights = solve(regularized, np.eye(len(names))[codes] - share, assume_a="pos")
    return np.asarray(names[(across @ weights + share).argmax(axis=1)])


def with_baseline(trained: Trained, data: TrainingData, encoder: Encoder) -> Trained:
    """What was trained, with the baseline's number and how its texts are read."""
    metrics = dict(trained.metrics)
    if long := encoder.tokens.cut(data.inputs):
        metrics["cut_texts"] = float(long)
    if data.eval_targets:
        known, asked = (data.inputs, data.targets), (data.eval_inputs, data.eval_targets)
        metrics["ngram_accuracy"] = baseline(*known, *asked)
    notes = [note for note in (cut(metrics), beside(metrics)) if note]
    return replace(trained, metrics=metrics, notes=[*trained.notes, *notes])


def cut(metrics: Mapping[str, float]) -> str:
    """That texts were not read to their end; "" where all were."""
    texts = metrics.get("cut_texts")
    return f"only the first model.max_tokens of {texts:.0f} texts were read" if texts else ""


def beside(metrics: Mapping[str, float]) -> str:
    """What is to be said of a model whose baseline is near; "" where it is well ahead."""
    plain, own = metrics.get("ngram_accuracy"), metrics.get("evaluation_accuracy")
    rows = metrics.get("evaluation_rows", 0.0)
    if plain is None or own is None or rows < FEWEST or plain < own - NEAR:
        return ""
    than = "are better than" if plain > own else "are near"
    return (
        f"character n-grams alone {than} this model on the same rows ({plain:.3f} against {own:.3f}): "
        "see model.encoder, ngrams and both"
    )
