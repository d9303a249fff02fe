"""What a model answers to rows that it is tested on. What it writes to a prompt is written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.arrays import Array
from core.models.base import Model, WritingModel
from core.tasks import RIGHT
from flows.session import Session


def outputs(session: Session, model: Model, inputs: Sequence[Any], embeddings: Array) -> list[str]:
    """One output an input; `embeddings` (n, dim) are the model's own of the inputs' texts."""

    def ask(places: Sequence[int]) -> list[str]:
        answers = model.answer([inputs[i] for i in places], embeddings[list(places)])
        return [answer.output for answer in answers]

    if not isinstance(model, WritingModel):
        return ask(range(len(inputs)))
    texts = [session.task.render(each) for each in inputs]
    prompts = model.prompt_ids(inputs, embeddings)
    return session.store.tested.of(model.weights, prompts, texts, ask)


def rights(session: Session, said: Sequence[str], truth: Sequence[str]) -> Array:
    """(n,) which outputs count as right."""
    scores = [session.task.score(o, t) for o, t in zip(said, truth, strict=True)]
    return np.array([s is not None and s >= RIGHT for s in scores], dtype=bool)
