"""Objectives of people's opinions: which of two answers is better, and how good one is.

Both compare the model with where its training starts, the reference, whose log-probabilities were
computed once. How far it may go from there is `beta`: the smaller, the farther.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.models.causal.packing import TokenSequence
from core.models.causal.reading import Read


@dataclass(frozen=True)
class PreferenceRow:
    """Two answers to one request. `reference` are their log-probabilities under the reference."""

    chosen: TokenSequence
    rejected: TokenSequence
    reference: tuple[float, float] = field(repr=False)

    @property
    def sequences(self) -> Sequence[TokenSequence]:
        return (self.chosen, self.rejected)


@dataclass(frozen=True)
class Preference:
    """Direct preference optimization (Rafailov et al. 2023, equation 7): the chosen answer gains more
    than the rejected one. With `likelihood` the loss of the chosen answer's tokens is added, so many
    times (Pang et al. 2024, "Iterative Reasoning Preference Optimization")."""

    beta: float
    likelihood: float = 0.0

    def loss(self, read: Read, rows: Sequence[PreferenceRow]) -> tuple[Any, dict[str, float]]:
        import torch

        said = read([each for row in rows for each in row.sequences])
        sums = said.sums(2 * len(rows)).view(-1, 2)
        gains = sums - sums.new_tensor([row.reference for row in rows])
        margins = self.beta * (gains[:, 0] - gains[:, 1])
        loss = -torch.nn.functional.logsigmoid(margins).mean()
        if self.likelihood:
            loss = loss + self.likelihood * said.losses[said.sequence % 2 == 0].mean()
        told = {"margin": margins.mean(), "preferred": (margins > 0).float().mean()}
        return loss, {name: float(value.detach()) for name, value in told.items()}


@dataclass(frozen=True)
class RatedRow:
    """An answer and whether it is good, and the same request with the answer to another one, which
    tells how far the model went from its reference whatever it is asked."""

    answer: TokenSequence
    mismatched: TokenSequence
    good: bool
    reference: tuple[float, float] = field(repr=False)

    @property
    def sequences(self) -> Sequence[TokenSequence]:
        return (self.answer, self.mismatched)


@dataclass(frozen=True)
class RatedAnswers:
    """Kahneman-Tversky optimization (Ethayarajh et al. 2024, equation 8): a good answer gains more than
    answers do on average, a bad one less. `good` and `bad` are what a row of each weighs."""

    beta: float
    good: float = 1.0
    bad: float = 1.0

    def loss(self, read: Read, rows: Sequence[RatedRow]) -> tuple[Any, dict[str, float]]:
        import torch

        sums = read([row.answer for row in rows]).sums(len(rows))
        before = sums.new_tensor([row.reference for row in rows])
        with torch.no_grad():
            apart = read([row.mismatched for row in rows]).sums(len(rows)) - before[:, 1]
        drift = apart.mean().clamp(min=0)
        gains = sums - before[:, 0]
        good = torch.tensor([row.good for row in rows], device=sums.device)
        sign = torch.where(good, 1.0, -1.0)
        worth = torch.sigmoid(self.beta * sign * (gains - drift))
        loss = (torch.where(good, self.good, self.bad) * (1 - worth)).mean()
        return loss, {
            "margin": float((self.beta * sign * gains.detach()).mean()),
            "drift": float(drift),
        }
