"""`generation`: a causal language model reads a text, or messages, and writes its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from core.arrays import Array, Frame
from core.cells import unstorable
from core.json_form import object_of
from core.label_set import FreeText
from core.models.causal.messages import as_messages, spoken
from core.records.answers import GenerationDetail
from core.records.windows import Window
from core.records.writing import UNFINISHED
from core.tasks.judges import NAMES, Judge, judge_of, parsed, same_json, schema_break, schema_fault
from core.tasks.task import Task

MESSAGES = '[{"'  # how messages begin, where the reservoir has them as JSON
FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Generation(Task):
    """The model writes its answer.

    >>> task = Generation(judge="json")
    >>> task.score('{"b": 1, "a": 2}', '{"a": 2, "b": 1}'), task.score("{", "{}")
    (1.0, 0.0)
    >>> task.render([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}])
    'hi'
    """

    protocols: ClassVar = ("own", "openai")
    detail: ClassVar = GenerationDetail
    kind: ClassVar = "demonstration"
    truth: ClassVar = "right answer"
    column: ClassVar = "answer"
    labelled: ClassVar = False
    costly: ClassVar = True
    feedback: ClassVar = ("rating", "thumbs", "demonstration", "preference", "comment")
    names: ClassVar = FreeText()

    policy: Literal["generation"] = "generation"
    judge: str = Field(
        "exact",
        description=f"how right an answer is: {' | '.join(NAMES)}, or a function of your own, "
        "MODULE:FUNCTION, of an output and the right answer",
    )
    json_schema: dict[str, Any] | None = Field(
        None, description="the JSON Schema that an answer keeps to; with judge: json, {} is any JSON"
    )

    constrain: bool = Field(
        False,
        description="the model can only write JSON that keeps to json_schema, from the next version on",
    )

    @field_validator("judge")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NAMES and not FUNCTION.fullmatch(name):
            raise ValueError(f"one of {', '.join(NAMES)}, or MODULE:FUNCTION")
        return name

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema and (fault := schema_fault(schema)):
            raise ValueError(f"a JSON Schema; {fault}")
        return schema

    @model_validator(mode="after")
    def _has_schema(self) -> Generation:
        if self.judge == "schema" and self.json_schema is None:
            raise ValueError("a json_schema beside judge: schema")
        if self.constrain and self.json_schema is None:
            raise ValueError("a json_schema beside constrain: true; {type: object} is any JSON object")
        return self

    @property
    def answer_schema(self) -> Mapping[str, Any] | None:
        return self.json_schema if self.constrain else None

    @property
    def code(self) -> dict[str, str]:
        return {"task.judge": self.judge} if ":" in self.judge else {}

    def render(self, input: Any, /) -> str:
        """The messages without those of the system, a line each."""
        return spoken(input)

    def turns(self, input: Any, /) -> list[dict[str, str]]:
        return [{"role": str(m["role"]), "content": str(m["content"])} for m in as_messages(input)]

    def asked(self, stored: str, /) -> Any:
        return json.loads(stored) if stored.startswith(MESSAGES) else stored

    def target(self, cell: Any, /) -> str:
        given = json.dumps(cell, ensure_ascii=False) if isinstance(cell, (list, dict)) else cell
        if not isinstance(given, str) or not given.strip():
            raise ValueError("no answer")
        if fault := unstorable(given):
            raise ValueError(f"an answer with {fault}")
        if fault := self.fault(given):
            raise ValueError(f"the answer {fault}")
        return given

    def score(self, output: str, target: str | None, /) -> float | None:
        return None if target is None else self._judged(output, target)

    def doubt(self, answers: Window, /) -> Array:
        """(n,) one minus the chance of the least likely token; 1 where nobody knows it."""
        least = answers.rows["min_logprob"].to_numpy(dtype=float)
        return np.where(np.isfinite(least), -np.expm1(np.minimum(least, 0)), 1.0)

    def agree(self, one: str, other: str, /) -> bool:
        return one.strip() == other.strip() or same_json(one, other) == 1

    def finished(self, rows: Frame, /) -> Array:
        """All but those that their caller left, or whose engine broke off."""
        if "finish_reason" not in rows:
            return np.ones(len(rows), dtype=bool)
        return ~rows["finish_reason"].isin(UNFINISHED).to_numpy(dtype=bool)

    def category(self, target: str, /) -> str:
        """Of a JSON object the texts at its top, such as the function's name; "" of anything else.

        >>> Generation().category('{"name": "alarm_set", "arguments": {"time": "six"}}')
        'name=alarm_set'
        """
        top = (object_of(target) or {}).items()
        return "\n".join(f"{key}={value}" for key, value in sorted(top) if isinstance(value, str))

    def fault(self, output: str, /) -> str:
        """Why a text is not the JSON that an answer is; "" where it is, or need not be."""
        if self.judge not in ("json", "schema") and self.json_schema is None:
            return ""
        try:
            parsed(output)
        except ValueError as why:
            return f"is no JSON: {why}"
        broken = schema_break(output, self.json_schema or {})
        return f"does not keep to task.json_schema: {broken}" if broken else ""

    @cached_property
    def _judged(self) -> Judge:
        return judge_of(self.judge, self.json_schema)
