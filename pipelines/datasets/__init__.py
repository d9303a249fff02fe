"""Datasets: what exactly do we train and test on? One file a formation policy."""

from __future__ import annotations

from typing import Annotated

from core.plugins import of
from pipelines.datasets.formation import Formation

Datasets = Annotated[Formation, of(Formation)]
