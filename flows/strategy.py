"""The retraining strategy: the shape of params.yaml, one section per stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from core import params, trust
from core.imported import importable
from core.models.classifier.runtimes import Runtime
from core.params import Section
from core.plugins import NO_CODE, Policies, choices
from core.tasks import Classification, TaskPolicy
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


class ModelSection(Section):
    """The base model."""

    encoder: str = Field(
        "auto",
        min_length=1,
        description="a Hugging Face name, a local folder, `ngrams` (character n-grams: any language, "
        "no download), `both` (those beside all-MiniLM-L6-v2), or `auto`: all-MiniLM-L6-v2 unless the "
        "first rows show that one of those is better",
    )
    generator: str = Field(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        min_length=1,
        description="what writes the answers of the task generation: a causal language model, by its "
        "Hugging Face name, or a local folder",
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

    task: TaskPolicy = Field(default_factory=Classification)
    model: ModelSection
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
        """The functions and classes that the file names by their import path, by key: they run in our
        process."""
        named = {
            "logging.redact_with": getattr(self.logging, "redact_with", ""),
            "monitoring.hook": self.monitoring.hook,
            "monitoring.toxicity": self.monitoring.toxicity,
        }
        code = getattr(self.task, "code", {})  # it has none before its own class is trusted
        return {key: path for key, path in named.items() if path} | code | self.classes

    @property
    def classes(self) -> dict[str, str]:
        """The policies that it names by their import path, by key."""
        return dict(_classes(self.model_dump()))


def load(path: Path, root: Path) -> Strategy:
    """The strategy of the workspace at `root`. Raises ParamsError, and TrustError before any class is
    imported that nobody here has trusted."""
    read = params.load(path, Strategy, NO_CODE)
    trust.require(root, read.code)
    if not read.code:
        return read
    importable(root)
    return params.load(path, Strategy)


def clashes() -> list[str]:
    """Policies of installed packages that cannot be had by their name, in words."""
    stages = [c for field in Strategy.model_fields.values() for c in choices(field)]
    return [words for c in stages if isinstance(c, Policies) for words in c.clashes()]


def _classes(part: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every policy of a part of the file that is an import path, by its key."""
    listed = enumerate(part) if isinstance(part, list) else ()
    for name, value in part.items() if isinstance(part, dict) else listed:
        key = (*at, str(name))
        if name == "policy" and ":" in str(value):
            yield ".".join(key), value
        yield from _classes(value, key)
