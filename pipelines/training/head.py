"""Recipe `head`: a new head on the stored embeddings. No text is read; a second is enough."""

from __future__ import annotations

from typing import ClassVar, Literal

from core.models.classifier.head import fit_head
from core.models.classifier.model import TextClassifier
from core.tasks import CLASSIFICATION
from pipelines.training.data import Recipe, Trained, TrainingData, measured


class HeadRecipe(Recipe):
    """Logistic regression from where the champion's head stands."""

    tasks: ClassVar = (CLASSIFICATION,)
    policy: Literal["head"]

    def train(self, data: TrainingData, start: TextClassifier) -> Trained:
        """The encoder of `start` under a new head. Labels of `start` are never forgotten."""
        head = fit_head(
            data.embeddings,
            data.labels,
            start=start.head,
        )
        return Trained(TextClassifier(start.encoder, head), measured(head, data))
