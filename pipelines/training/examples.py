"""Recipe `examples`: the rows of the version are what the model reads before a request. A second.

The weights are those of the champion. They are trained, as `sft` does it, where nothing has trained
them yet, and again once there are enough rows that they have not learnt.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.training.sft import SftRecipe


class ExamplesRecipe(SftRecipe):
    """A label counts with the next version, without training."""

    policy: Literal["examples"]  # type: ignore[assignment]  # its own name
    retune_after: int = Field(
        200, ge=1, description="rows that the weights have not learnt, until they are trained again"
    )

    def _tunes(self, learnt: int, new: int) -> bool:
        return not learnt or new >= self.retune_after
