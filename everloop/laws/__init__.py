"""Laws that every policy of a stage keeps: ours, and those of other packages.

    pytest --pyargs everloop.laws                                  all policies of ours
    pytest --pyargs everloop.laws --policy mypackage.module:Class  one of yours; its stage is found

A setting without a default needs an example that the laws can try it with:
`days: int = Field(ge=1, description="...", examples=[3])`. Several examples make several policies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import pytest
from pydantic import BaseModel, ValidationError

from core.imported import BadCodeError
from core.plugins import Policies

B = TypeVar("B", bound=BaseModel)
chosen: list[tuple[str, type[BaseModel]]] = []  # by --policy; none means all of ours


def every(stage: Any, argument: str = "policy") -> Callable[..., Any]:
    """The law is tested for every policy of a stage, which is an annotation such as CurationPolicy."""
    policies = under_law(stage)
    return pytest.mark.parametrize(argument, policies, ids=[_words(p) for p in policies])


def under_law(stage: Any) -> list[Any]:
    """The policies of a stage that are tested."""
    policies: Policies[Any] = stage.__metadata__[0]
    ours = [(name, policies.find(name)) for name in policies.ours()]
    theirs = [(name, shape) for name, shape in chosen if issubclass(shape, policies.base)]
    return [made for name, shape in (theirs if chosen else ours) for made in examples(name, shape)]


def examples(name: str, shape: type[B]) -> list[B]:
    """A policy by its defaults, once for each example of its settings. Raises BadCodeError where a
    setting has neither."""
    known = {key: field.examples for key, field in shape.model_fields.items() if field.examples}
    own = get_args(shape.model_fields["policy"].annotation) or (name,)
    try:
        return [
            shape.model_validate({k: v[i % len(v)] for k, v in known.items()} | {"policy": own[0]})
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
