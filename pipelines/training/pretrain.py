"""Recipe `pretrain`: the model goes on learning the language of the requests, which nobody labelled.

Domain-adaptive pretraining (Gururangan et al. 2020): the loss is that of all tokens of a request. Rows
with an answer are learnt between them, each alone, so that the model goes on answering.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from core.models.base import Model
from core.models.causal.packing import TokenSequence
from core.models.causal.tuning import tune
from core.texts import counted
from pipelines.training.data import Trained, TrainingData
from pipelines.training.weights import (
    Said,
    WeightsRecipe,
    as_served,
    demonstrated,
    readable,
    writing,
)


class PretrainRecipe(WeightsRecipe):
    """Requests train, and `replay` is the share of labelled rows between them."""

    policy: Literal["pretrain"]
    epochs: int = Field(1, ge=1, description="passes over the rows")
    learning_rate: float = Field(5e-5, gt=0, description="AdamW's largest step size")
    requests: int = Field(2000, ge=1, description="requests of the last 28 days that it reads, at most")

    @property
    def reads(self) -> int:
        return self.requests

    def train(self, data: TrainingData, start: Model) -> Trained:
        """The model that read the new requests; the champion's weights where there are none."""
        champion = writing(start)
        prompts, said = champion.lm.prompts, demonstrated(data)
        rows, notes = readable(prompts, said)
        reading = self._reading(champion, data, rows)
        asked = [Said(each, ("",)) for each in data.requests]
        fit, long = readable(prompts, asked, "request") if asked else ([], [])
        new = [asked[i] for i in fit if asked[i].digest not in champion.learnt]
        metrics = {"new_requests": float(len(new)), "train_rows": float(len(data.targets))}
        if not new:
            kept = f"no new request among {counted(len(asked), 'request')}"
            note = f"{kept}: the champion's weights are kept"
            return Trained(reading, metrics, [*notes, *long, note])
        old = self._replayed(rows, len(new))
        answers = [each for row in as_served(reading, [said[i] for i in old]) for each in row]
        tokens = [prompts.read(each.input) for each in new]
        texts = [TokenSequence(each, [True] * len(each)) for each in tokens]
        tuned = tune(champion.lm, [[*texts, *answers]] * self.epochs, self._plan())
        metrics |= {"replayed_rows": float(len(old)), "steps": float(len(tuned.losses))}
        learnt = champion.learnt.union(each.digest for each in new)
        model = replace(reading, lm=tuned.lm, learnt=learnt)
        return Trained(model, metrics, [*notes, *long], tuned.curves)
