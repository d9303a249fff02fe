"""What one model makes of a batch of texts, and the record of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from core.arrays import Array
from core.errors import ModelError
from core.ids import uuid7
from core.label_set import LabelSet
from core.models.base import Answer, Model, WritingModel
from core.records.answers import GenerationDetail, Prediction, Request, Variant
from core.records.writing import UNFINISHED
from serving.cache import Cache


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model under the version it is known by."""

    version: str
    model: Model

    def under(self, labels: LabelSet) -> LoadedModel:
        """The same model, answering in these labels."""
        model = self.model.under(labels)
        return self if model is self.model else replace(self, model=model)


@dataclass(frozen=True)
class Scores:
    """One model's view of n texts."""

    by: LoadedModel
    embeddings: Array  # (n, dim) float16
    answers: list[Answer]
    embed_ms: float  # for the batch, whoever embedded it
    answer_ms: float  # for the batch
    read: int  # texts the encoder read for it


def score(
    served: LoadedModel,
    asked: Sequence[Request],
    shared: Scores | None = None,
    cache: Cache | None = None,
) -> Scores:
    """Embed and answer; embeddings that the same encoder made for `shared`, or that are in the cache,
    are taken, not made again. So are answers that the same weights wrote to the same prompts.

    Raises ModelError when a confidence is no number: such a row could not be stored.
    """
    model, texts = served.model, [r.text for r in asked]
    start = time.perf_counter()
    if shared and shared.by.model.identity == model.identity:
        embeddings, read, embed_ms = shared.embeddings, 0, shared.embed_ms
    else:
        embeddings, read = _embed(model, texts, cache)
        embed_ms = (time.perf_counter() - start) * 1000
    known = _written(model, asked, shared) if shared else {}
    rest = [i for i in range(len(asked)) if i not in known]
    start = time.perf_counter()
    new = model.answer([asked[i].input for i in rest], embeddings[rest]) if rest else []
    answer_ms = (time.perf_counter() - start) * 1000
    if known and shared:  # as long as if it had written all
        answer_ms = answer_ms * len(asked) / len(rest) if rest else shared.answer_ms
    made = known | dict(zip(rest, new, strict=True))
    answers = [made[i] for i in range(len(asked))]
    if not all(isfinite(a.confidence) for a in answers):
        where = f"version {served.version}"
        raise ModelError("the model gives no probabilities", where=where, got="nan or inf")
    return Scores(served, embeddings, answers, embed_ms, answer_ms, read)


def _written(model: Model, asked: Sequence[Request], shared: Scores) -> dict[int, Answer]:
    """By place, answers for `shared` that this model would write again. One whose caller hears it
    being written is written again, and so is one that ended early."""
    before = shared.by.model
    if not isinstance(model, WritingModel) or not isinstance(before, WritingModel):
        return {}
    if model.weights != before.weights or model.identity != before.identity:
        return {}
    inputs = [r.input for r in asked]
    given = zip(
        before.prompt_ids(inputs, shared.embeddings),
        model.prompt_ids(inputs, shared.embeddings),
        strict=True,
    )
    return {
        i: shared.answers[i]
        for i, (one, other) in enumerate(given)
        if one and one == other and not asked[i].listener.hears and _whole(shared.answers[i])
    }


def _whole(answer: Answer) -> bool:
    detail = answer.detail
    return isinstance(detail, GenerationDetail) and detail.finish_reason not in UNFINISHED


def _embed(model: Model, texts: Sequence[str], cache: Cache | None) -> tuple[Array, int]:
    """(n, dim) float16, and how many texts were read for it."""
    if cache is None:
        return model.embed(texts), len(texts)
    rows = cache.get(model.identity, texts)
    unknown = list(dict.fromkeys(t for t, row in zip(texts, rows, strict=True) if row is None))
    if not unknown:
        return np.stack([row for row in rows if row is not None]), 0
    made = model.embed(unknown)
    cache.put(model.identity, unknown, made)
    new = dict(zip(unknown, made, strict=True))
    whole = [new[t] if row is None else row for t, row in zip(texts, rows, strict=True)]
    return np.stack(whole), len(unknown)


def answer_id(request: Request, variant: Variant) -> str:
    return uuid7(request.timestamp, request.request_id, variant)


def row(request: Request, i: int, scores: Scores, variant: Variant) -> Prediction:
    """The record of text `i`. Latency is its even share of the batch; a shadow row has no embedding."""
    answer = scores.answers[i]
    return Prediction(
        prediction_id=answer_id(request, variant),
        request_id=request.request_id,
        timestamp=request.timestamp,
        model_version=scores.by.version,
        variant=variant,
        text=request.text,
        output=answer.output,
        confidence=answer.confidence,
        detail=answer.detail,
        embedding=None if variant == "shadow" else answer.embedding,
        encoder=scores.by.model.identity,
        segments=dict(request.segments),
        user_key=request.user_key,
        latency_ms=(scores.embed_ms + scores.answer_ms) / len(scores.answers),
    )
