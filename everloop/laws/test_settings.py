"""Laws that hold for the settings of every policy, whatever its stage."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from everloop.laws.members import STAGES, under_law

PAIRS = [(TypeAdapter(stage), policy) for stage in STAGES for policy in under_law(stage)]
NAMES = [f"{type(p).__module__}:{type(p).__name__}" for _, p in PAIRS]
every_policy = pytest.mark.parametrize("policy", [p for _, p in PAIRS], ids=NAMES)


@pytest.mark.parametrize(("stage", "policy"), PAIRS, ids=NAMES)
def test_a_stored_strategy_gives_the_same_policy(stage: TypeAdapter[Any], policy: BaseModel) -> None:
    """What a decision, MLflow and DVC keep of the settings is enough to have them again."""
    written = yaml.safe_load(yaml.safe_dump(policy.model_dump(mode="json")))
    assert stage.validate_python(written) == policy


@every_policy
def test_every_setting_says_what_it_means(policy: BaseModel) -> None:
    """`everloop check` prints it."""
    fields = type(policy).model_fields.items()
    assert [k for k, field in fields if k != "policy" and not field.description] == []


@every_policy
def test_an_unknown_setting_is_refused(policy: BaseModel) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(policy).model_validate({**policy.model_dump(), "no_such_setting": 1})
