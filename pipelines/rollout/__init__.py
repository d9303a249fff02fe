"""Is the candidate really better, for real users? One file a policy."""

from __future__ import annotations

from typing import Annotated

from core.plugins import of
from pipelines.rollout.promotion import Promotion, promote, roll_back

__all__ = ["RolloutPolicy", "promote", "roll_back"]

RolloutPolicy = Annotated[Promotion, of(Promotion)]
