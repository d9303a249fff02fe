"""Recipe `dpo`: of two answers to a request, the one that people chose becomes likelier than the other.

Direct preference optimization (Rafailov et al. 2023). It reads the pairs of the version: corrections
with what they corrected, and answers that people ranked. A step costs about twice that of `sft`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from core.models.causal.model import CausalModel
from core.models.causal.preferences import Preference, PreferenceRow
from pipelines.training.data import TrainingData
from pipelines.training.opinions import OpinionsRecipe, compared
from pipelines.training.weights import Said


class DpoRecipe(OpinionsRecipe):
    """Pairs train; the champion is the reference."""

    policy: Literal["dpo"]
    what: ClassVar = "pair"
    likelihood: float = Field(
        0.0,
        ge=0,
        description="what the loss of the chosen answer's tokens weighs beside, as in sft; above 0 it "
        "keeps chosen answers from losing likelihood together with the others",
    )

    def _said(self, data: TrainingData) -> list[Said]:
        return [Said(pair.input, (pair.chosen, pair.rejected)) for pair in data.pairs]

    def _digests(self, data: TrainingData) -> list[str]:
        return [said.digest for said in self._said(data)]

    def _task(
        self, data: TrainingData, chosen: Sequence[int], model: CausalModel
    ) -> tuple[list[PreferenceRow], Preference]:
        said = self._said(data)
        rows = compared(model, [said[i] for i in chosen])
        learnt = [PreferenceRow(*row.sequences, row.reference) for row in rows]
        return learnt, Preference(self.beta, self.likelihood)
