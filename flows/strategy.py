"""The retraining strategy: the shape of params.yaml, one section per stage."""

from __future__ import annotations

from pydantic import Field

from core.models.classifier.runtimes import Runtime
from core.params import Section
from monitoring import Monitoring
from pipelines.curation import CurationPolicy
from pipelines.datasets import Datasets
from pipelines.labeling import Labeling
from pipelines.logging import LoggingPolicy
from pipelines.rollout import RolloutPolicy
from pipelines.testing import Testing
from pipelines.training import Training
from pipelines.triggers import TriggerPolicy
from serving.settings import Serving


class Model(Section):
    """The base model."""

    encoder: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        min_length=1,
        description="a Hugging Face name, or a local folder",
    )
    max_tokens: int = Field(128, ge=8, le=8192, description="tokens of a text that the encoder reads")
    runtime: Runtime = Field(
        "torch",
        description="what runs the encoder; `everloop runtimes` measures them and says which to take",
    )


class BatchPredict(Section):
    """A file to classify regularly. Paths are in the workspace; {date} is the day, as 2026-01-05, and
    {hour} the hour of the run, as 03, both in UTC."""

    input: str = Field(min_length=1, description="CSV, JSONL or Parquet: inbox/{date}.csv")
    output: str = Field(min_length=1, description="where the answers go: answers/{date}.parquet")
    hours: int = Field(24, ge=1, description="how often; below 24 the paths need {hour}, 00 to 23, too")
    text_column: str = Field("text", min_length=1, description="column with the text")


class Schedule(Section):
    """How often the loop turns, in production and in a replay."""

    loop_hours: int = Field(24, ge=1, description="monitor, pick labels, decide whether to retrain")
    rollout_hours: int = Field(4, ge=1, description="look at a rollout under way")
    batch: BatchPredict | None = Field(None, description="a file to classify regularly")


class Strategy(Section):
    """All of params.yaml."""

    model: Model
    serving: Serving
    logging: LoggingPolicy
    monitoring: Monitoring
    curation: CurationPolicy
    labeling: Labeling
    triggers: TriggerPolicy
    datasets: Datasets
    training: Training
    testing: Testing
    rollout: RolloutPolicy
    schedule: Schedule

    @property
    def code(self) -> dict[str, str]:
        """The functions that the file names, by key: they run in our process."""
        named = {
            "logging.redact_with": self.logging.redact_with,
            "monitoring.hook": self.monitoring.hook,
        }
        return {key: function for key, function in named.items() if function}
