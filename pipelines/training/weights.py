"""What the recipes share that move the weights of a causal language model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from core.errors import InputError, ModelError
from core.models.base import Model
from core.models.causal.examples import NONE, Examples
from core.models.causal.messages import spoken
from core.models.causal.model import CausalModel
from core.models.causal.packing import TokenSequence
from core.models.causal.prompts import Prompts
from core.models.causal.tuning import TuningPlan
from core.records.writing import Decoding, Prompted
from core.tasks import GENERATION
from core.texts import counted
from pipelines.training.data import Recipe, TrainingData

log = logging.getLogger(__name__)


class WeightsRecipe(Recipe):
    """It starts from the champion, whose weights stay as they are."""

    tasks: ClassVar = (GENERATION,)
    epochs: int = Field(3, ge=1, description="passes over the rows")
    learning_rate: float = Field(2e-4, gt=0, description="AdamW's largest step size")
    batch_size: int = Field(16, ge=1, description="rows a step")
    layers: int | None = Field(
        None, ge=1, description="the last layers alone are trained, so many; all where it is null"
    )
    lora_rank: int | None = Field(
        None, ge=1, description="adapters of this rank are trained (LoRA) and added to the weights"
    )
    replay: float = Field(
        0.75, ge=0, lt=1, description="share of the rows that the champion has learnt already"
    )
    anchor: float = Field(
        0.0,
        ge=0,
        description="how strongly weights are pulled back to the champion's, against forgetting "
        "(L2-SP); a step takes away the share anchor x learning rate of how far they went",
    )
    examples: int = Field(
        3, ge=0, le=32, description="nearest rows that the model reads before a request; 0 for none"
    )

    def _plan(self, rows_a_sequence: int = 1) -> TuningPlan:
        """A step reads about `batch_size` rows, however many are in one sequence."""
        size = max(1, self.batch_size // rows_a_sequence)
        return TuningPlan(self.learning_rate, size, self.layers, self.lora_rank, self.anchor)

    def _reading(self, model: CausalModel, data: TrainingData, rows: Sequence[int]) -> CausalModel:
        """The model with these rows as its examples."""
        if not self.examples:
            return replace(model, examples=NONE, shots=0)
        chosen = Examples(
            [data.inputs[i] for i in rows], [data.targets[i] for i in rows], data.embeddings[rows]
        )
        return replace(model, examples=chosen, shots=self.examples)

    def _chosen(self, champion: CausalModel, digests: Sequence[str]) -> tuple[list[int], list[int]]:
        """Positions of what the champion has not learnt, and of a share of what it has (experience
        replay: Rolnick et al. 2019)."""
        new = [i for i, each in enumerate(digests) if each not in champion.learnt]
        old = [i for i, each in enumerate(digests) if each in champion.learnt]
        return new, self._replayed(old, len(new))

    def _replayed(self, old: Sequence[int], new: int) -> list[int]:
        """Some of the old rows, so that they are the share `replay` of all."""
        most = min(len(old), round(new * self.replay / (1 - self.replay)))
        return [old[i] for i in np.random.default_rng(0).permutation(len(old))[:most]]


@dataclass(frozen=True)
class Said:
    """A request and answers to it, which must fit into the model's context together."""

    input: Any
    answers: tuple[str, ...]

    @property
    def digest(self) -> str:
        """By which a model knows what it has learnt."""
        content = json.dumps([self.input, *self.answers])
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def writing(start: Model) -> CausalModel:
    """What these recipes can train. Raises ModelError."""
    if not isinstance(start, CausalModel):
        raise ModelError("only a model that writes its answers can be tuned", got=type(start).__name__)
    return start


def demonstrated(data: TrainingData) -> list[Said]:
    return [Said(asked, (right,)) for asked, right in zip(data.inputs, data.targets, strict=True)]


def readable(prompts: Prompts, rows: Sequence[Said], what: str = "row") -> tuple[list[int], list[str]]:
    """The rows that fit into the context; of the others how many they are, and the first. Raises
    InputError where none fits."""
    tokens = np.array(
        [
            len(prompts.read(row.input)) + max(len(prompts.answer(a)) for a in row.answers)
            for row in rows
        ]
    )
    long = np.flatnonzero(tokens > prompts.context)
    if not len(long):
        return list(range(len(rows))), []
    said = (
        f"longer than the model's context of {prompts.context:,} tokens: {counted(len(long), what)}, "
        f"the first of {tokens[long[0]]:,} tokens: {spoken(rows[long[0]].input)[:60]!r}"
    )
    if len(long) == len(rows):
        raise InputError(f"no {what} can be learnt", got=said, do=f"shorten the {what}s")
    log.warning("left out, as %s", said)
    return np.flatnonzero(tokens <= prompts.context).tolist(), [f"left out, as {said}"]


def as_served(model: CausalModel, rows: Sequence[Said]) -> list[list[TokenSequence]]:
    """Each answer after its request as the model is asked it in service, its examples before it; a row
    is no example to its own request."""
    near = model.examples.near(model.embed([spoken(row.input) for row in rows]), model.shots + 1)
    return [_sequences(model, row, places) for row, places in zip(rows, near, strict=True)]


def _sequences(model: CausalModel, row: Said, near: Sequence[int]) -> list[TokenSequence]:
    others = [i for i in near if model.examples.inputs[i] != row.input][: model.shots]
    answers = [model.lm.prompts.answer(each) for each in row.answers]
    room = Decoding(max_tokens=max(map(len, answers)))
    _, prompt = model.prompt(Prompted(row.input, room), others)
    return [_sequence(prompt, each, model.lm.prompts.context) for each in answers]


def _sequence(prompt: list[int], answer: list[int], context: int) -> TokenSequence:
    """Cut to the context: only an answer to another request may be longer, and a part is enough."""
    tokens = (prompt + answer)[:context]
    return TokenSequence(tokens, [False] * len(prompt) + [True] * (len(tokens) - len(prompt)))
