"""Which of the logged requests are worth a label?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.curation.margin import Margin
from pipelines.curation.random import Random
from pipelines.curation.stratified import Stratified

CurationPolicy = Annotated[Random | Stratified | Margin, Field(discriminator="policy")]
