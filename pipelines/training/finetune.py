"""Recipe `finetune`: the encoder's weights move too. Minutes, and every stored embedding is outdated.

The only recipe that reads texts again. It costs more than `head`, so it has to be no worse than it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from core.models.base import Model
from core.models.classifier.finetune import Tuning, finetune
from core.models.classifier.model import TextClassifier
from core.tasks import CLASSIFICATION
from pipelines.training.baseline import with_baseline
from pipelines.training.data import Recipe, Trained, TrainingData, measured
from pipelines.training.fitting import METRIC, Metric
from pipelines.training.head import HeadRecipe, classifier, fitted

log = logging.getLogger(__name__)


class FinetuneRecipe(Recipe):
    """The head first, then all layers, then the head once more on the new embeddings."""

    tasks: ClassVar = (CLASSIFICATION,)
    policy: Literal["finetune"]
    metric: Metric = METRIC
    epochs: int = Field(2, ge=1, description="passes over the training rows")
    learning_rate: float = Field(2e-5, gt=0, description="AdamW's first step size, falling to zero")
    batch_size: int = Field(16, ge=1, description="rows a step")
    lora_rank: int | None = Field(
        None,
        ge=1,
        description="adapters of this rank are trained (LoRA) and added to the weights; they want a "
        "learning_rate about ten times as large",
    )

    def train(self, data: TrainingData, start: Model) -> Trained:
        """The tuned model, or the `head` model with a note where tuning made it worse."""
        recipe = HeadRecipe(policy="head", metric=self.metric)
        plain = recipe.train(data, start)
        tuned = self._tuned(data, classifier(plain.model))
        better = _better(plain, tuned)
        read = (self.epochs + 1) * len(data.inputs) + len(
            data.eval_inputs
        )  # once more for the new head
        told = replace(better, metrics={**better.metrics, "texts_read": float(read)})
        return with_baseline(told, data, classifier(plain.model).encoder)

    def _tuned(self, data: TrainingData, plain: TextClassifier) -> Trained | None:
        """None where training diverged."""
        tuning = Tuning(self.epochs, self.learning_rate, self.batch_size, self.lora_rank)
        encoder = finetune(plain.encoder, plain.trained, data.inputs, data.targets, tuning)
        fresh = replace(
            data,
            embeddings=encoder.encode(data.inputs),
            eval_embeddings=encoder.encode(data.eval_inputs),
            names={},  # they were read by the encoder before
        )
        if not (np.isfinite(fresh.embeddings).all() and np.isfinite(fresh.eval_embeddings).all()):
            return None
        head, choice = fitted(fresh, plain.trained, self.metric)
        return Trained(TextClassifier(encoder, head), {**measured(head, fresh), **choice.metrics})


def _better(plain: Trained, tuned: Trained | None) -> Trained:
    """`tuned` where it is no worse on the evaluation rows, else `plain` and the reason."""
    before = plain.metrics.get("evaluation_accuracy")
    after = tuned.metrics.get("evaluation_accuracy") if tuned else None
    if tuned is None:
        note = "finetune diverged, try a smaller learning_rate: the head model is kept"
    elif before is None or after is None:
        note = "finetune has no evaluation rows to prove itself on: the head model is kept"
    elif after < before:
        note = (
            f"finetune is worse than head on {plain.metrics['evaluation_rows']:.0f} evaluation rows"
            f" ({after:.4f} against {before:.4f}): the head model is kept"
        )
    else:
        metrics = {**tuned.metrics, "head_evaluation_accuracy": before}
        return Trained(tuned.model, metrics, [f"finetune {after:.4f}, head alone {before:.4f}"])
    log.warning(note)
    rejected = {} if after is None else {"finetune_evaluation_accuracy": after}
    return Trained(plain.model, {**plain.metrics, **rejected}, [note])
