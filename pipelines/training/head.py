"""Recipe `head`: a new head on the stored embeddings. No text is read; a second is enough."""

from __future__ import annotations

from typing import ClassVar, Literal

from core.errors import ModelError
from core.models.base import Model
from core.models.classifier.head import Head, fit_head
from core.models.classifier.model import TextClassifier
from core.tasks import CLASSIFICATION
from pipelines.training.baseline import with_baseline
from pipelines.training.data import Recipe, Trained, TrainingData, measured
from pipelines.training.fitting import METRIC, HeadChoice, Metric, choose


class HeadRecipe(Recipe):
    """Logistic regression from where the champion's head stands."""

    tasks: ClassVar = (CLASSIFICATION,)
    policy: Literal["head"]
    metric: Metric = METRIC

    def train(self, data: TrainingData, start: Model) -> Trained:
        """The encoder of `start` under a new head. Labels of `start` are never forgotten."""
        start = classifier(start)
        head, choice = fitted(data, start.head, self.metric)
        metrics = {**measured(head, data), **choice.metrics}
        plain = Trained(TextClassifier(start.encoder, head), metrics, choice.notes)
        return with_baseline(plain, data, start.encoder)


def fitted(data: TrainingData, start: Head | None, metric: Metric) -> tuple[Head, HeadChoice]:
    """The head for the rows, fitted as the latest of them say."""
    x, y, names = data.embeddings, data.targets, data.names
    choice = choose(x, y, names, metric)
    head = fit_head(x, y, start=start, fitting=choice.fitting, names=names)
    return head.divided(choice.temperature), choice


def classifier(start: Model) -> TextClassifier:
    """What these recipes can train. Raises ModelError."""
    if not isinstance(start, TextClassifier):
        raise ModelError("only a classifier gets a head", got=type(start).__name__)
    return start
