"""What a model answers to rows that it is tested on. One whose answers take seconds is asked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.arrays import Array
from core.models.base import Model
from core.tasks import RIGHT
from flows.session import Session
from pipelines.datasets.inputs import fingerprint


@dataclass(frozen=True, eq=False)
class Asked:
    """A model, and the folder of its files, which tell it from all others."""

    model: Model
    folder: Path


def outputs(session: Session, asked: Asked, inputs: Sequence[Any], embeddings: Array) -> list[str]:
    """One output an input; `embeddings` (n, dim) are the model's own of the inputs' texts."""
    if not session.task.costly:
        return [answer.output for answer in asked.model.answer(inputs, embeddings)]

    def ask(some: list[Any], places: list[int]) -> list[str]:
        return [answer.output for answer in asked.model.answer(some, embeddings[places])]

    texts = [session.task.render(each) for each in inputs]
    return session.store.tested.of(fingerprint(asked.folder), inputs, texts, ask)


def rights(session: Session, said: Sequence[str], truth: Sequence[str]) -> Array:
    """(n,) which outputs count as right."""
    scores = [session.task.score(o, t) for o, t in zip(said, truth, strict=True)]
    return np.array([s is not None and s >= RIGHT for s in scores], dtype=bool)
