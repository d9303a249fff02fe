"""Logging: which data do we keep?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.logging.all import All
from pipelines.logging.profile import Profiled
from pipelines.logging.requests import requests
from pipelines.logging.sample import Sample

__all__ = ["LoggingPolicy", "requests"]

LoggingPolicy = Annotated[All | Sample | Profiled, Field(discriminator="policy")]
