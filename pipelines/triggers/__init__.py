"""Is it time to retrain? One file a trigger."""

from pipelines.triggers.trigger import TriggerPolicy

__all__ = ["TriggerPolicy"]
