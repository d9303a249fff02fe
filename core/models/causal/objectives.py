"""What a training makes small: a number for the rows of one step, and what is drawn beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.models.causal.packing import TokenSequence
from core.models.causal.reading import Read


class TrainingRow(Protocol):
    """What is learnt together, as one or more sequences of tokens."""

    @property
    def sequences(self) -> Sequence[TokenSequence]: ...


class Objective(Protocol):
    """Its repr, with those of the rows, tells one training from another."""

    def loss(self, read: Read, rows: Sequence[Any]) -> tuple[Any, dict[str, float]]:
        """The loss of some rows, to be made smaller, and numbers for curves. `read` is how the network
        that is trained reads sequences."""
        ...


@dataclass(frozen=True)
class Taught:
    """The probabilities of a teacher, and what nearness to them weighs (Hinton et al. 2015). With the
    model that the training starts from as the teacher, less is forgotten (Li & Hoiem 2016)."""

    sha256: str  # of the teacher's weights
    weight: float
    read: Read = field(repr=False)

    def loss(self, rows: Sequence[TokenSequence], logits: Any) -> Any:
        """By token, the divergence of the model's probabilities from the teacher's."""
        import torch

        with torch.no_grad():
            taught = self.read(rows).logits.log_softmax(-1)
        apart = torch.nn.functional.kl_div(
            logits.log_softmax(-1), taught, log_target=True, reduction="batchmean"
        )
        return self.weight * apart


@dataclass(frozen=True)
class Likelihood:
    """The learnt tokens get likelier: the mean of their losses. With `language` the loss of all tokens,
    those of the request too, is added so many times (Radford et al. 2018, equation 5)."""

    language: float = 0.0
    taught: tuple[Taught, ...] = ()

    def loss(self, read: Read, rows: Sequence[TokenSequence]) -> tuple[Any, dict[str, float]]:
        if not self.language:
            said = read(rows)
            return self._with_teachers(said.losses.mean(), rows, said.logits), {}
        import torch

        said = read([TokenSequence(row.tokens, [True] * len(row.tokens)) for row in rows])
        learnt = torch.tensor([on for row in rows for on in row.learnt[1:]], device=said.losses.device)
        language = said.losses.mean()
        loss = said.losses[learnt].mean() + self.language * language
        told = {"language_loss": float(language.detach())}
        return self._with_teachers(loss, rows, said.logits[learnt]), told

    def _with_teachers(self, loss: Any, rows: Sequence[TokenSequence], logits: Any) -> Any:
        return loss + sum(each.loss(rows, logits) for each in self.taught)
