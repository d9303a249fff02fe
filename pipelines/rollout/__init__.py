"""Is the candidate really better, for real users?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.rollout.ab_test import AbTest
from pipelines.rollout.policy import promote, roll_back
from pipelines.rollout.shadow_canary import ShadowCanary

__all__ = ["AbTest", "RolloutPolicy", "ShadowCanary", "promote", "roll_back"]

RolloutPolicy = Annotated[ShadowCanary | AbTest, Field(discriminator="policy")]
