"""Training: a dataset version and the champion in, a candidate out. One file a recipe."""

from __future__ import annotations

from typing import Annotated

from core.plugins import of
from pipelines.training.data import Recipe, Trained, TrainingData, learnable

Training = Annotated[Recipe, of(Recipe)]

__all__ = ["Trained", "Training", "TrainingData", "learnable"]
