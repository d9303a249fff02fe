"""The policies that the laws are tested on: ours, or those that `--policy` names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel, ValidationError

from core.imported import BadCodeError, class_at
from core.plugins import Policies, made
from monitoring.alerts.rules.base import RulePolicy
from monitoring.hooks import MeasurementPolicy
from pipelines.curation import CurationPolicy
from pipelines.curation.pacing.pacing import PacingPolicy
from pipelines.datasets import Datasets
from pipelines.datasets.exporters.exporter import ExporterPolicy
from pipelines.logging import LoggingPolicy
from pipelines.rollout import RolloutPolicy
from pipelines.testing.own import SuitePolicy
from pipelines.training import Training
from pipelines.triggers import TriggerPolicy

B = TypeVar("B", bound=BaseModel)
STAGES = (
    CurationPolicy,
    Datasets,
    ExporterPolicy,
    LoggingPolicy,
    MeasurementPolicy,
    PacingPolicy,
    RolloutPolicy,
    RulePolicy,
    SuitePolicy,
    Training,
    TriggerPolicy,
)
chosen: list[tuple[str, type[BaseModel]]] = []  # by --policy; none means all of ours


def choose(paths: Sequence[str]) -> None:
    """Test these, and nothing of ours. Raises BadCodeError for what is no policy."""
    chosen[:] = [(path, shape) for path in paths for shape in _shapes(path)]


def has_members(stage: str) -> bool:
    """Whether any policy of a stage is tested."""
    return any(_policies(s).stage == stage and under_law(s) for s in STAGES)


def _shapes(path: str) -> list[type[BaseModel]]:
    """The class at a path; or those that installed packages offer under a name."""
    stages = [_policies(s) for s in STAGES]
    if ":" not in path:
        found = [s.find(path) for s in stages if path in s.names()]
        if not found:
            raise BadCodeError(f"no package offers a policy {path!r}")
        return found
    shape = class_at(path, object)
    for stage in stages:
        if issubclass(shape, stage.base):
            return [stage.find(path)]
    bases = ", ".join(f"{s.base.__module__}:{s.base.__name__}" for s in stages)
    raise BadCodeError(f"{path} is a policy of no stage, expected a class that extends one of {bases}")


def every(stage: Any, argument: str = "policy") -> Callable[..., Any]:
    """The law is tested for every policy of a stage, which is an annotation such as CurationPolicy."""
    policies = under_law(stage)
    return pytest.mark.parametrize(argument, policies, ids=[_words(p) for p in policies])


def under_law(stage: Any) -> list[Any]:
    """The policies of a stage that are tested."""
    policies = _policies(stage)
    ours = [(name, policies.find(name)) for name in policies.ours()]
    theirs = [(name, shape) for name, shape in chosen if issubclass(shape, policies.base)]
    return [made for name, shape in (theirs if chosen else ours) for made in examples(name, shape)]


def _policies(stage: Any) -> Policies[Any]:
    found: Policies[Any] = stage.__metadata__[0]
    return found


def examples(name: str, shape: type[B]) -> list[B]:
    """A policy by its defaults, once for each example of its settings. Raises BadCodeError where a
    setting has neither."""
    known = {key: field.examples for key, field in shape.model_fields.items() if field.examples}
    try:
        return [
            made(shape, {k: v[i % len(v)] for k, v in known.items()} | {"policy": name})
            for i in range(max(map(len, known.values()), default=1))
        ]
    except ValidationError as fault:
        [first, *_] = fault.errors(include_url=False)
        key = ".".join(map(str, first["loc"]))
        said = f"{name}: its setting {key} cannot be tried: {first['msg']}"
        raise BadCodeError(f"{said}; give it Field(examples=[...])") from None


def _words(policy: BaseModel) -> str:
    """A policy for people: its name, and what its examples set."""
    tried = {k: getattr(policy, k) for k, f in type(policy).model_fields.items() if f.examples}
    plain = [f"{k}={v}" for k, v in tried.items() if isinstance(v, int | float | str)]
    return " ".join([str(getattr(policy, "policy", "")), *plain])
