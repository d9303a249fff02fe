"""What the calls of each protocol take and give, and the shape of a fault."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


def shown(*examples: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that /docs shows by these examples."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


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
