"""What every model can do, whichever family it is of. The rooms know this, and no family.

    embeddings = model.embed(texts)               each text is read once
    answers = model.answer(inputs, embeddings)    nothing is read again

Two models of one `identity` give the same embeddings, so a candidate is compared with the champion on
what the champion read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from core.arrays import Array
from core.label_set import LabelSet
from core.records.answers import Detail

Input = Any  # a text; to a model that writes, messages and how to draw the next token


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What a model says to one input."""

    output: str
    confidence: float  # 0..1
    detail: Detail
    embedding: Array  # (dim,) float16, of the input


class Model(Protocol):
    """A model that was trained. Any number of threads may ask it at once."""

    @property
    def identity(self) -> str:
        """Of its embeddings."""
        ...

    @property
    def labels(self) -> list[str]:
        """All that it may answer; none where it writes its answers itself."""
        ...

    def embed(self, texts: Sequence[str]) -> Array:
        """(n, dim) float16. Reads each text once."""
        ...

    def unknown(self, texts: Sequence[str]) -> Array:
        """(n,) share of each text's tokens that its vocabulary lacks; NaN for one without any."""
        ...

    def answer(self, inputs: Sequence[Input], embeddings: Array | None = None) -> list[Answer]:
        """One answer an input. `embeddings` (n, dim) are its own of the inputs' texts, where there are
        any yet. Raises ModelError."""
        ...

    def under(self, labels: LabelSet) -> Model:
        """The same model, answering in the labels of a moment."""
        ...

    def start(self, labels: LabelSet, runtime: str) -> Model:
        """As the next one starts from it: on a runtime, without labels that are gone."""
        ...

    def save(self, folder: Path) -> None: ...

    @staticmethod
    def load(folder: Path) -> Model:
        """Raises ModelError: a file missing or broken, or of another model."""
        ...


@runtime_checkable
class WritingModel(Protocol):
    """A model that writes its answers. Two versions of the same weights that are given the same prompt
    write the same, so it is written once."""

    @property
    def weights(self) -> str:
        """Their SHA-256."""
        ...

    def prompt_ids(self, inputs: Sequence[Input], embeddings: Array) -> list[str]:
        """Of each input a hash of what the weights are given; "" where that does not say what they
        write, as where tokens are drawn by chance."""
        ...


@runtime_checkable
class AnswerReader(Protocol):
    """A model that can read an answer that it did not write."""

    def surprise(self, inputs: Sequence[Input], targets: Sequence[str]) -> Array:
        """(n,) mean negative log-probability of a token of each right answer, in nats, read without
        examples: they may hold it; NaN where one does not fit into the context."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """What gives every label its probability: a head, or a model that has one."""

    @property
    def labels(self) -> list[str]: ...

    def probabilities(self, embeddings: Array) -> Array:
        """(n, dim) of any float -> (n, n_labels) float32, each row of sum 1."""
        ...
