"""Is it time to retrain?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.triggers.accuracy import Accuracy
from pipelines.triggers.any import AnyOf
from pipelines.triggers.drift import Drift
from pipelines.triggers.labels import Labels
from pipelines.triggers.periodic import Periodic

TriggerPolicy = Annotated[Periodic | Labels | Drift | Accuracy | AnyOf, Field(discriminator="policy")]

AnyOf.model_rebuild(_types_namespace={"TriggerPolicy": TriggerPolicy})
