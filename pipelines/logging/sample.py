"""`sample`: a share of the requests, and all that the model was not sure of.

A request's place in [0, 1) is a hash of its id, so the same request is kept or not wherever and however
often it is asked. Its chance of being kept is stored with it, and estimates weigh by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from core.ids import log_place
from core.records.answers import Prediction
from pipelines.logging.log_policy import Logging


class Sample(Logging):
    """Keep a share of the requests, and those with little confidence."""

    whole: ClassVar[bool] = False

    policy: Literal["sample"]
    rate: float = Field(0.1, gt=0, le=1, description="share of requests that is kept, drawn evenly")
    below: float = Field(
        0.5, ge=0, le=1, description="a request whose answer has less confidence is always kept"
    )

    def choose(self, rows: list[Prediction]) -> list[Prediction]:
        chance = {
            p.request_id: 1.0 if p.confidence < self.below else self.rate
            for p in rows
            if p.variant != "shadow"
        }
        kept = {r: c for r, c in chance.items() if log_place(r) < c}
        return [replace(p, propensity=kept[p.request_id]) for p in rows if p.request_id in kept]
