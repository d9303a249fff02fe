"""Recipe `kto`: answers that people liked become likelier, those that they did not like less likely.

Kahneman-Tversky optimization (Ethayarajh et al. 2024). It reads the ratings of the version, such as
thumbs. Each is of one answer: nobody has to compare two. A step costs half more than in `sft`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from core.models.causal.model import CausalModel
from core.models.causal.preferences import RatedAnswers, RatedRow
from pipelines.training.data import TrainingData
from pipelines.training.opinions import OpinionsRecipe, compared
from pipelines.training.weights import Said

GOOD = 0.5  # the score from which an answer is good


class KtoRecipe(OpinionsRecipe):
    """Ratings train; the champion is the reference. Good and bad ones weigh the same together."""

    policy: Literal["kto"]
    what: ClassVar = "rating"

    def _said(self, data: TrainingData) -> list[Said]:
        return [Said(rating.input, (rating.output,)) for rating in data.ratings]

    def _digests(self, data: TrainingData) -> list[str]:
        """An answer that is thought of otherwise is a new one."""
        said = self._said(data)
        return [f"{s.digest}/{r.score >= GOOD}" for s, r in zip(said, data.ratings, strict=True)]

    def _task(
        self, data: TrainingData, chosen: Sequence[int], model: CausalModel
    ) -> tuple[list[RatedRow], RatedAnswers]:
        ratings = [data.ratings[i] for i in chosen]
        following = [*ratings[1:], *ratings[:1]]
        said = [Said(r.input, (r.output, f.output)) for r, f in zip(ratings, following, strict=True)]
        good = [rating.score >= GOOD for rating in ratings]
        learnt = [
            RatedRow(*row.sequences, g, row.reference)
            for row, g in zip(compared(model, said), good, strict=True)
        ]
        return learnt, _balanced(self.beta, sum(good), len(good) - sum(good))


def _balanced(beta: float, good: int, bad: int) -> RatedAnswers:
    """The rarer of good and bad answers weigh as much as the others (section 4.2 of the paper)."""
    if not (good and bad):
        return RatedAnswers(beta)
    return RatedAnswers(beta, good=max(1.0, bad / good), bad=max(1.0, good / bad))
