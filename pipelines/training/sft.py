"""Recipe `sft`: a causal language model learns to write the right answers. Minutes for 600 rows.

It starts from the champion. A row is new where the champion has not learnt it; the others keep it from
forgetting, and only a share of them is read again. The model learns to read examples, too: near rows
stand in one sequence, in some of them under other names, and the rows of the version are the examples
that it reads before a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from core.models.base import Model
from core.models.causal.model import CausalModel
from core.models.causal.objectives import Likelihood, Taught
from core.models.causal.packing import Demonstrations, TokenSequence, sequences
from core.models.causal.prompts import Prompts
from core.models.causal.reading import network_for, reader
from core.models.causal.tuning import tune
from pipelines.training.data import Trained, TrainingData
from pipelines.training.weights import WeightsRecipe, demonstrated, readable, writing


class SftRecipe(WeightsRecipe):
    """Supervised fine-tuning; the loss is that of the answer alone."""

    policy: Literal["sft"]
    rename: float = Field(
        0.6,
        ge=0,
        le=1,
        description="share of the sequences whose JSON answers have other names, so that the model "
        "learns to read names in its examples",
    )

    language_loss: float = Field(
        0.0,
        ge=0,
        description="what the loss of all tokens, those of the request too, weighs beside that of the "
        "answer (the auxiliary loss of GPT-1)",
    )
    keep: float = Field(
        0.0,
        ge=0,
        description="what nearness to the champion's probabilities weighs, against forgetting "
        "(distillation from the champion); a step costs a third more",
    )

    def train(self, data: TrainingData, start: Model) -> Trained:
        """The tuned model, or the champion where there is no new row."""
        return self._learned(data, writing(start), {})

    def _learned(
        self, data: TrainingData, champion: CausalModel, teachers: Mapping[CausalModel, float]
    ) -> Trained:
        """The same. Each teacher's probabilities are learnt beside, so much."""
        said = demonstrated(data)
        rows, notes = readable(champion.lm.prompts, said)
        digests = [said[i].digest for i in rows]
        new, old = self._chosen(champion, digests)
        metrics = {"new_rows": float(len(new)), "train_rows": float(len(data.targets))}
        if not self._tunes(len(champion.learnt), len(new)):
            kept = [] if new else ["no new row: the champion's weights are kept"]
            return Trained(self._reading(champion, data, rows), metrics, [*notes, *kept])
        passes = self._passes(champion.lm.prompts, data, [rows[i] for i in (*new, *old)])
        taught = _taught({**teachers, champion: self.keep}, passes)
        objective = Likelihood(self.language_loss, taught)
        tuned = tune(champion.lm, passes, self._plan(self.examples + 1), objective)
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

    def _passes(
        self, prompts: Prompts, data: TrainingData, rows: Sequence[int]
    ) -> list[list[TokenSequence]]:
        chosen = Demonstrations(
            [data.inputs[i] for i in rows], [data.targets[i] for i in rows], data.embeddings[rows]
        )
        return [
            sequences(prompts, chosen, self.examples, self.rename, seed) for seed in range(self.epochs)
        ]


def _taught(
    teachers: Mapping[CausalModel, float], passes: Sequence[Sequence[TokenSequence]]
) -> tuple[Taught, ...]:
    """The probabilities that weigh something."""
    longest = max(len(row.tokens) for rows in passes for row in rows)
    return tuple(
        Taught(model.lm.sha256, weight, reader(network_for(model.lm.folder, longest)))
        for model, weight in teachers.items()
        if weight
    )
