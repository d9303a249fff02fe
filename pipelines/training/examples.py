"""Recipe `examples`: the rows of the version are what the model reads before a request. A second.

The weights are those of the champion. They are trained, as `sft` does it, where nothing has trained
them yet, and again once there are enough rows that they have not learnt.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.models.base import Model
from pipelines.training.data import Trained, TrainingData
from pipelines.training.sft import SftRecipe, digest, readable, writing


class ExamplesRecipe(SftRecipe):
    """A label counts with the next version, without training."""

    policy: Literal["examples"]  # type: ignore[assignment]
    retune_after: int = Field(
        200, ge=1, description="rows that the weights have not learnt, until they are trained again"
    )

    def train(self, data: TrainingData, start: Model) -> Trained:
        champion = writing(start)
        rows, notes = readable(champion.lm.prompts, data)
        new = [i for i in rows if digest(data.inputs[i], data.targets[i]) not in champion.learnt]
        if not champion.learnt or len(new) >= self.retune_after:
            return super().train(data, start)
        metrics = {"new_rows": float(len(new)), "train_rows": float(len(data.targets))}
        return Trained(self.reading(champion, data, rows), metrics, notes)
