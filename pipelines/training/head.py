"""Recipe `head`: a new head on the stored embeddings. No text is read; a second is enough."""

from __future__ import annotations

from typing import ClassVar, Literal

from core.errors import ModelError
from core.models.base import Model
from core.models.classifier.head import fit_head
from core.models.classifier.model import TextClassifier
from core.tasks import CLASSIFICATION
from pipelines.training.data import Recipe, Trained, TrainingData, measured


class HeadRecipe(Recipe):
    """Logistic regression from where the champion's head stands."""

    tasks: ClassVar = (CLASSIFICATION,)
    policy: Literal["head"]

    def train(self, data: TrainingData, start: Model) -> Trained:
        """The encoder of `start` under a new head. Labels of `start` are never forgotten."""
        start = classifier(start)
        head = fit_head(
            data.embeddings,
            data.targets,
            start=start.head,
        )
        return Trained(TextClassifier(start.encoder, head), measured(head, data))


def classifier(start: Model) -> TextClassifier:
    """What these recipes can train. Raises ModelError."""
    if not isinstance(start, TextClassifier):
        raise ModelError("only a classifier gets a head", got=type(start).__name__)
    return start
