"""What one model makes of a batch of texts, and the record of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from core.errors import ModelError
from core.label_set import LabelSet
from core.models.classifier.migrated import Migrated, answering
from core.records import Array, Prediction, Request, Variant, uuid7
from serving.cache import Cache

if TYPE_CHECKING:
    from core.models.classifier.encoder import Encoder
    from core.models.classifier.head import Head

AS_TRAINED = LabelSet()


@dataclass(frozen=True)
class Served:
    """A loaded model under the version it is known by, and the label set it answers in."""

    version: str
    encoder: Encoder
    trained: Head
    labels: LabelSet = AS_TRAINED

    @cached_property
    def head(self) -> Head | Migrated:
        return answering(self.trained, self.labels)

    def under(self, labels: LabelSet) -> Served:
        """The same model, answering in these labels."""
        return self if labels == self.labels else replace(self, labels=labels)


@dataclass(frozen=True)
class Scores:
    """One model's view of n texts."""

    by: Served
    embeddings: Array  # (n, dim) float16
    probabilities: Array  # (n, n_labels) float32
    embed_ms: float  # for the batch, whoever embedded it
    head_ms: float  # for the batch
    read: int  # texts the encoder read for it


def score(
    served: Served, texts: Sequence[str], shared: Scores | None = None, cache: Cache | None = None
) -> Scores:
    """Embed and score; embeddings that the same encoder made for `shared`, or that are in the cache,
    are taken, not made again.

    Raises ModelError when the model gives no probabilities: such a row could not be stored.
    """
    start = time.perf_counter()
    if shared and shared.by.encoder.identity == served.encoder.identity:
        embeddings, read, embed_ms = shared.embeddings, 0, shared.embed_ms
    else:
        embeddings, read = _embed(served.encoder, texts, cache)
        embed_ms = (time.perf_counter() - start) * 1000
    start = time.perf_counter()
    probabilities = served.head.probabilities(embeddings)
    head_ms = (time.perf_counter() - start) * 1000
    if not np.isfinite(probabilities).all():
        where = f"version {served.version}"
        raise ModelError("the model gives no probabilities", where=where, got="nan or inf")
    return Scores(served, embeddings, probabilities, embed_ms, head_ms, read)


def _embed(encoder: Encoder, texts: Sequence[str], cache: Cache | None) -> tuple[Array, int]:
    """(n, dim) float16, and how many texts were read for it."""
    if cache is None:
        return encoder.encode(texts), len(texts)
    rows = cache.get(encoder.identity, texts)
    unknown = list(dict.fromkeys(t for t, row in zip(texts, rows, strict=True) if row is None))
    if not unknown:
        return np.stack([row for row in rows if row is not None]), 0
    made = encoder.encode(unknown)
    cache.put(encoder.identity, unknown, made)
    new = dict(zip(unknown, made, strict=True))
    whole = [new[t] if row is None else row for t, row in zip(texts, rows, strict=True)]
    return np.stack(whole), len(unknown)


def row(request: Request, i: int, scores: Scores, variant: Variant) -> Prediction:
    """The record of text `i`. Latency is its even share of the batch; a shadow row has no embedding."""
    probabilities = scores.probabilities[i]
    best = int(probabilities.argmax())
    return Prediction(
        prediction_id=uuid7(request.timestamp, request.request_id, variant),
        request_id=request.request_id,
        timestamp=request.timestamp,
        model_version=scores.by.version,
        variant=variant,
        text=request.text,
        label=scores.by.head.labels[best],
        score=float(probabilities[best]),
        probabilities=probabilities.astype(np.float16),
        embedding=None if variant == "shadow" else scores.embeddings[i],
        encoder=scores.by.encoder.identity,
        segments=dict(request.segments),
        user_key=request.user_key,
        latency_ms=(scores.embed_ms + scores.head_ms) / len(scores.embeddings),
    )
