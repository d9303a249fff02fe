"""Is it time to retrain?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.triggers.accuracy import Accuracy
from pipelines.triggers.all import AllOf
from pipelines.triggers.any import AnyOf
from pipelines.triggers.at_least import AtLeast
from pipelines.triggers.cost_aware import CostAware
from pipelines.triggers.drift import Drift
from pipelines.triggers.error_budget import ErrorBudget
from pipelines.triggers.labels import Labels
from pipelines.triggers.periodic import Periodic

TriggerPolicy = Annotated[
    Periodic | Labels | Drift | Accuracy | ErrorBudget | CostAware | AnyOf | AllOf | AtLeast,
    Field(discriminator="policy"),
]

for _several in (AnyOf, AllOf, AtLeast):
    _several.model_rebuild(_types_namespace={"TriggerPolicy": TriggerPolicy})
