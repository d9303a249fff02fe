"""What a training makes small: a number for the rows of one step, and what is drawn beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
class Likelihood:
    """The learnt tokens get likelier: the mean of their losses."""

    def loss(self, read: Read, rows: Sequence[TrainingRow]) -> tuple[Any, dict[str, float]]:
        return read([each for row in rows for each in row.sequences]).losses.mean(), {}
