"""Recipe `sft`: a causal language model learns to write the right answers. Minutes for 600 rows.

It starts from the champion. A row is new where the champion has not learnt it; the others keep it from
forgetting, and only a share of them is read again (experience replay: Rolnick et al. 2019). The model
learns to read examples, too: near rows stand in one sequence, in some of them under other names, and
the rows of the version are the examples that it reads before a request.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from core.errors import InputError, ModelError
from core.models.base import Model
from core.models.causal.examples import NONE, Examples
from core.models.causal.messages import spoken
from core.models.causal.model import CausalModel
from core.models.causal.packing import Demonstrations, TokenSequence, sequences
from core.models.causal.prompts import Prompts
from core.models.causal.tuning import TuningPlan, tune
from core.tasks import GENERATION
from core.texts import counted
from pipelines.training.data import Recipe, Trained, TrainingData

log = logging.getLogger(__name__)


class SftRecipe(Recipe):
    """Supervised fine-tuning; the loss is that of the answer alone."""

    tasks: ClassVar = (GENERATION,)
    policy: Literal["sft"]
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
    examples: int = Field(
        3, ge=0, le=32, description="nearest rows that the model reads before a request; 0 for none"
    )
    rename: float = Field(
        0.6,
        ge=0,
        le=1,
        description="share of the sequences whose JSON answers have other names, so that the model "
        "learns to read names in its examples",
    )

    def train(self, data: TrainingData, start: Model) -> Trained:
        """The tuned model, or the champion where there is no new row."""
        champion = writing(start)
        rows, notes = _readable(champion.lm.prompts, data)
        digests = {i: digest(data.inputs[i], data.targets[i]) for i in rows}
        new = [i for i in rows if digests[i] not in champion.learnt]
        metrics = {"new_rows": float(len(new)), "train_rows": float(len(data.targets))}
        if not self._tunes(len(champion.learnt), len(new)):
            kept = [] if new else ["no new row: the champion's weights are kept"]
            return Trained(self._reading(champion, data, rows), metrics, [*notes, *kept])
        old = _replayed([i for i in rows if digests[i] in champion.learnt], len(new), self.replay)
        passes = self._passes(champion.lm.prompts, data, [*new, *old])
        tuned = tune(champion.lm, passes, self._plan)
        metrics |= {
            "replayed_rows": float(len(old)),
            "steps": float(len(tuned.losses)),
            "tokens": float(sum(len(row.tokens) for rows in passes for row in rows)),
        }
        learnt = champion.learnt.union(digests[i] for i in new)
        model = replace(champion, lm=tuned.lm, learnt=learnt)
        return Trained(self._reading(model, data, rows), metrics, notes, tuned.curves)

    def _tunes(self, learnt: int, new: int) -> bool:  # noqa: ARG002  `examples` asks it
        """Whether the weights are trained, which learnt so many rows and lack so many."""
        return new > 0

    def _reading(self, model: CausalModel, data: TrainingData, rows: Sequence[int]) -> CausalModel:
        """The model with these rows as its examples."""
        if not self.examples:
            return replace(model, examples=NONE, shots=0)
        chosen = Examples(
            [data.inputs[i] for i in rows], [data.targets[i] for i in rows], data.embeddings[rows]
        )
        return replace(model, examples=chosen, shots=self.examples)

    def _passes(
        self, prompts: Prompts, data: TrainingData, rows: Sequence[int]
    ) -> list[list[TokenSequence]]:
        chosen = Demonstrations(
            [data.inputs[i] for i in rows], [data.targets[i] for i in rows], data.embeddings[rows]
        )
        return [
            sequences(prompts, chosen, self.examples, self.rename, seed) for seed in range(self.epochs)
        ]

    @property
    def _plan(self) -> TuningPlan:
        """A step reads about `batch_size` rows, however many are in one sequence."""
        sequences = max(1, self.batch_size // (self.examples + 1))
        return TuningPlan(self.learning_rate, sequences, self.layers, self.lora_rank)


def writing(start: Model) -> CausalModel:
    """What this recipe can train. Raises ModelError."""
    if not isinstance(start, CausalModel):
        raise ModelError("only a model that writes its answers can be tuned", got=type(start).__name__)
    return start


def _readable(prompts: Prompts, data: TrainingData) -> tuple[list[int], list[str]]:
    """The rows that fit into the context; of the others how many they are, and the first."""
    pairs = list(zip(data.inputs, data.targets, strict=True))
    tokens = np.array([len(prompts.read(asked)) + len(prompts.answer(right)) for asked, right in pairs])
    long = np.flatnonzero(tokens > prompts.context)
    if not len(long):
        return list(range(len(pairs))), []
    said = (
        f"longer than the model's context of {prompts.context:,} tokens: {counted(len(long), 'row')}, "
        f"the first of {tokens[long[0]]:,} tokens: {spoken(pairs[long[0]][0])[:60]!r}"
    )
    if len(long) == len(pairs):
        raise InputError("no row can be learnt", got=said, do="shorten the rows")
    log.warning("left out, as %s", said)
    return np.flatnonzero(tokens <= prompts.context).tolist(), [f"left out, as {said}"]


def _replayed(old: Sequence[int], new: int, share: float) -> list[int]:
    """Some of the rows that are learnt already, so that they are this share of all."""
    most = min(len(old), round(new * share / (1 - share)))
    return [old[i] for i in np.random.default_rng(0).permutation(len(old))[:most]]


def digest(asked: Any, answer: str) -> str:
    return hashlib.blake2b(json.dumps([asked, answer]).encode(), digest_size=8).hexdigest()
