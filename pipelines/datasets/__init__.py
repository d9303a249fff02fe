"""What exactly do we train and test on?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.datasets.all import All
from pipelines.datasets.class_balanced import ClassBalanced
from pipelines.datasets.mixed import Mixed
from pipelines.datasets.sample import Sample
from pipelines.datasets.window import Window

Datasets = Annotated[All | Window | Mixed | Sample | ClassBalanced, Field(discriminator="policy")]
