"""Recipe `distill`: what a bigger or an older model says to requests is learnt as a right answer.

Sequence-level knowledge distillation (Kim & Rush 2016). The requests are those that nobody labelled.
They are learnt as in `sft`, together with the labelled rows. Only labelled rows become examples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from core.errors import ModelError
from core.models.base import Model
from core.models.causal.messages import spoken
from core.models.causal.model import CausalModel
from core.texts import counted
from pipelines.training.data import Teacher, Trained, TrainingData
from pipelines.training.sft import SftRecipe
from pipelines.training.weights import demonstrated, readable, writing


class DistillRecipe(SftRecipe):
    """A teacher's answers train beside the labelled rows."""

    policy: Literal["distill"]  # type: ignore[assignment]  # its own name
    teacher: str = Field(
        examples=["http://127.0.0.1:8001"],
        description="who answers: the URL of a server with OpenAI's protocol, #MODEL behind it where "
        "it has several; a version of this workspace; or a model by folder or Hub name",
    )
    requests: int = Field(
        500, ge=1, description="requests of the last 28 days that it is asked, at most"
    )
    probabilities: float = Field(
        0.0,
        ge=0,
        description="what nearness to the teacher's probabilities of each token weighs beside its "
        "answers, for a teacher on this machine with the same tokenizer",
    )

    @property
    def reads(self) -> int:
        return self.requests

    def train(self, data: TrainingData, start: Model) -> Trained:
        """As `sft`, of more rows."""
        champion, teacher = writing(start), data.teacher(self.teacher)
        near = (
            {_same_tokens(self.teacher, teacher, champion): self.probabilities}
            if self.probabilities
            else {}
        )
        labelled = {repr(asked) for asked in data.inputs}
        asked = [each for each in data.requests if repr(each) not in labelled]
        said = zip(asked, teacher.write(asked) if asked else [], strict=True)
        both = [(each, answer) for each, answer in said if answer.strip()]
        found = self._learned(_with(data, both, champion), champion, near)
        rows, _ = readable(champion.lm.prompts, demonstrated(data))
        model = self._reading(writing(found.model), data, rows)
        told = f"{self.teacher} answered {len(both)} of {counted(len(asked), 'request')}"
        metrics = {**found.metrics, "taught_rows": float(len(both))}
        return replace(found, model=model, metrics=metrics, notes=[*found.notes, told])


def _same_tokens(name: str, teacher: Teacher, champion: CausalModel) -> CausalModel:
    """The teacher, whose probabilities are of the champion's tokens. Raises ModelError."""
    model = teacher.model
    if isinstance(model, CausalModel):
        theirs, ours = (m.lm.prompts.tokenizer.get_vocab() for m in (model, champion))
        if theirs == ours:
            return model
    lacks = "it has another tokenizer" if model else "a server tells its answers alone"
    raise ModelError(
        "the teacher's probabilities cannot be learnt",
        where="training.probabilities",
        got=f"teacher {name}: {lacks}",
        expected="a teacher on this machine, with the tokenizer of the model that learns",
        do="set training.probabilities to 0: its answers train",
    )


def _with(data: TrainingData, both: list[tuple[object, str]], champion: CausalModel) -> TrainingData:
    """The data with requests and their answers as rows."""
    read = champion.embed([spoken(asked) for asked, _ in both]).astype(data.embeddings.dtype)
    return replace(
        data,
        inputs=[*data.inputs, *(asked for asked, _ in both)],
        targets=[*data.targets, *(answer for _, answer in both)],
        embeddings=np.concatenate([data.embeddings, read]) if both else data.embeddings,
    )
