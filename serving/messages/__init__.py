"""What the calls of each protocol take and give, and the shape of a fault."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, ValidationInfo

from serving.protocols.faults import too_many


def shown(*examples: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that /docs shows by these examples."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


def _counted(value: Any, info: ValidationInfo) -> Any:
    """Nothing of a list with more items than a call may have is looked at."""
    most = info.context["items"] if info.context else None
    if most is not None and isinstance(value, list) and len(value) > most:
        raise too_many(len(value), most)
    return value


class _Once(FailFast):
    """pydantic's own cannot be hashed, so it cannot stand in a union."""

    def __hash__(self) -> int:
        return hash(self.fail_fast)


T = TypeVar("T")
COUNTED = BeforeValidator(_counted)
First = Annotated[list[T], _Once()]  # a list whose first fault is its only one
Many = Annotated[list[T], _Once(), COUNTED]  # the items of a call

A_FAULT = {
    "error": "a field is missing",
    "where": "text",
    "got": "nothing",
    "expected": "a value for text",
    "do": "see /docs for the shape of this call",
}


class Fault(BaseModel):
    """Which thing, the value it got, what was expected, and what to do now."""

    model_config = shown(A_FAULT)

    error: str
    where: str = ""
    got: str = ""
    expected: str = ""
    do: str = ""
