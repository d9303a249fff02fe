"""Logging: which data do we keep? One file a policy."""

from __future__ import annotations

from typing import Annotated

from core.plugins import of
from pipelines.logging.log_policy import Logging
from pipelines.logging.requests import requests

__all__ = ["LoggingPolicy", "requests"]

LoggingPolicy = Annotated[Logging, of(Logging)]
