"""The local stack: Prefect settings that keep its state inside the workspace and its voice down."""

from __future__ import annotations

import os
from pathlib import Path

from core import workspace as places


def prefect_settings(root: Path, log_level: str = "WARNING") -> None:
    """Set Prefect's environment before it is imported; what the user has set stays."""
    home = places.find(root).state / "prefect"
    home.mkdir(parents=True, exist_ok=True)  # Prefect does not make it, and then waits in silence
    quiet = {
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_LEVEL": log_level,
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
