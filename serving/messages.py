"""What the HTTP calls take and give. Strict: a field that is not named here is a fault."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

from core.params import Section
from serving.service import not_storable


def _storable(text: str) -> str:
    if not_storable(text):
        raise ValueError("Unicode without NUL characters")
    return text


Short = Annotated[str, Field(max_length=200), AfterValidator(_storable)]


class Question(Section):
    """One text to classify."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "my card?", "user": "u1"}]})

    text: str = Field(description="what to classify")
    user: Short = Field("", description="who asks; only a hash of it is kept")
    segments: dict[Short, Short] = Field({}, max_length=32, description="e.g. {'channel': 'chat'}")
    request_id: Short = Field("", description="asking again under the same id gives the same answer")


def _as_question(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


Loose = Annotated[Question, BeforeValidator(_as_question, json_schema_input_type=str | Question)]


class Questions(Section):
    """Many texts to classify: plain strings, or objects as for one text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": ["my card?", {"text": "hi", "user": "u1"}]}]}
    )

    inputs: list[Loose]


def _form(body: Any) -> str:
    many = isinstance(body, Questions) or (isinstance(body, dict) and "inputs" in body)
    return "many texts" if many else "one text"


PredictBody = Annotated[
    Annotated[Question, Tag("one text")] | Annotated[Questions, Tag("many texts")], Discriminator(_form)
]


def inputs_of(body: Question | Questions) -> list[Question]:
    return body.inputs if isinstance(body, Questions) else [body]


THUMBS_DOWN: dict[str, Any] = {
    "prediction_id": "019b8b74-1800-75ca-ba2e-f08341255975",
    "kind": "thumbs",
    "value": "down",
}


class FeedbackBody(Section):
    """What a user, a reviewer or a later system said of an answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [THUMBS_DOWN]})

    prediction_id: Short
    kind: Literal["label", "correction", "thumbs"]
    value: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_storable)] = Field(
        description="the right label, or up | down for thumbs"
    )
    source: Short = Field("", description="who says so")
    feedback_id: Short = Field("", description="made from the content when left out")

    @field_validator("value")
    @classmethod
    def _thumbs(cls, value: str, others: ValidationInfo) -> str:
        if others.data.get("kind") == "thumbs" and value not in ("up", "down"):
            raise ValueError("up or down, for thumbs")
        return value


class Answer(BaseModel):
    prediction_id: str
    request_id: str
    label: str
    score: float
    model_version: str
    variant: Literal["champion", "canary"]


class Answers(BaseModel):
    predictions: list[Answer]


class FeedbackStored(BaseModel):
    feedback_id: str


class Live(BaseModel):
    """The rollout under way."""

    rollout_id: str
    candidate: str
    champion: str
    stage: str
    share: float


class Ready(BaseModel):
    champion: str
    rollout: Live | None


class Fault(BaseModel):
    """Which thing, the value it got, what was expected, and what to do now."""

    error: str
    where: str = ""
    got: str = ""
    expected: str = ""
    do: str = ""
