"""What the recipes `dpo` and `kto` share: they learn what people thought of answers.

The champion is the reference that the new model is compared with while it learns. What the champion
thinks of each answer is computed once, before the first step.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import Field

from core.models.base import Model
from core.models.causal.model import CausalModel
from core.models.causal.objectives import Objective
from core.models.causal.packing import TokenSequence
from core.models.causal.reading import log_probabilities
from core.models.causal.tuning import tune
from core.texts import counted
from pipelines.training.data import Trained, TrainingData
from pipelines.training.weights import Said, WeightsRecipe, as_served, demonstrated, readable, writing


@dataclass(frozen=True)
class Compared:
    """Two sequences and their log-probabilities under the reference."""

    sequences: tuple[TokenSequence, TokenSequence]
    reference: tuple[float, float]


class OpinionsRecipe(WeightsRecipe):
    """The weights move, and the rows of the version are the examples that the model reads."""

    what: ClassVar[str]  # one opinion, for people
    learning_rate: float = Field(2e-5, gt=0, description="AdamW's largest step size")
    beta: float = Field(
        0.1, gt=0, description="how near the model stays to the champion: the larger, the nearer"
    )

    def train(self, data: TrainingData, start: Model) -> Trained:
        """The tuned model, or the champion's weights where there is no new opinion."""
        champion = writing(start)
        rows, notes = readable(champion.lm.prompts, demonstrated(data))
        reading = self._reading(champion, data, rows)
        said = self._said(data)
        fit, long = readable(champion.lm.prompts, said, self.what) if said else ([], [])
        digests = self._digests(data)
        new, old = self._chosen(champion, [digests[i] for i in fit])
        metrics = {f"new_{self.what}s": float(len(new)), "train_rows": float(len(data.targets))}
        if not new:
            kept = f"no new {self.what} among {counted(len(said), self.what)}"
            return Trained(
                reading, metrics, [*notes, *long, f"{kept}: the champion's weights are kept"]
            )
        chosen = [fit[i] for i in (*new, *old)]
        learnt, objective = self._task(data, chosen, reading)
        tuned = tune(champion.lm, [learnt] * self.epochs, self._plan(), objective)
        metrics |= {f"replayed_{self.what}s": float(len(old)), "steps": float(len(tuned.losses))}
        metrics |= {name: values[-1] for name, values in tuned.curves.items() if name != "loss"}
        model = replace(
            reading, lm=tuned.lm, learnt=champion.learnt.union(digests[fit[i]] for i in new)
        )
        return Trained(model, metrics, [*notes, *long], tuned.curves)

    @abstractmethod
    def _said(self, data: TrainingData) -> list[Said]:
        """What each opinion is about."""

    @abstractmethod
    def _digests(self, data: TrainingData) -> list[str]:
        """By which a model knows the opinions that it has learnt."""

    @abstractmethod
    def _task(
        self, data: TrainingData, chosen: Sequence[int], model: CausalModel
    ) -> tuple[list[Any], Objective]:
        """Of these opinions, what is learnt and how. `model` is the champion with the new examples."""


def compared(model: CausalModel, rows: Sequence[Said]) -> list[Compared]:
    """Requests with two answers each, as the model is asked in service."""
    both = as_served(model, rows)
    flat = log_probabilities(model.lm.folder, [each for one in both for each in one])
    return [Compared((one, two), (flat[2 * i], flat[2 * i + 1])) for i, (one, two) in enumerate(both)]
