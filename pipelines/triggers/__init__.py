"""Is it time to retrain? One file a trigger."""

from pipelines.triggers.policy import TriggerPolicy

__all__ = ["TriggerPolicy"]
