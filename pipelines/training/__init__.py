"""Training: a dataset version and the champion in, a candidate out. One file a recipe."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.training.data import Trained, TrainingData, learnable
from pipelines.training.finetune import FinetuneRecipe
from pipelines.training.head import HeadRecipe

Training = Annotated[HeadRecipe | FinetuneRecipe, Field(discriminator="policy")]

__all__ = ["FinetuneRecipe", "HeadRecipe", "Trained", "Training", "TrainingData", "learnable"]
