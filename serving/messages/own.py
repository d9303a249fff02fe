"""What the calls of our own protocol take and give. Strict: a field not named here is a fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

from core.cells import unstorable
from core.label_names import normal
from core.params import Section
from core.records.answers import Prediction
from serving.messages import Many, shown


def storable(text: str) -> str:
    if unstorable(text):
        raise ValueError("Unicode without NUL characters")
    return text


Short = Annotated[str, Field(max_length=200), AfterValidator(storable)]


def _named(text: str) -> str:
    """A label in its normal form."""
    if not (name := normal(text)):
        raise ValueError("a label that can be seen")
    return name


Label = Annotated[
    str, Field(min_length=1, max_length=200), AfterValidator(storable), AfterValidator(_named)
]


class Asker(Section):
    """Who asks, and where."""

    user: Short = Field("", description="who asks; only a hash of it is kept")
    segments: dict[Short, Short] = Field({}, max_length=32, description="e.g. {'channel': 'chat'}")


class Question(Asker):
    """One text to classify."""

    model_config = shown({"text": "my card?", "user": "u1"})

    text: str = Field(description="what to classify", json_schema_extra={"minLength": 1})
    request_id: Short = Field("", description="asking again under the same id gives the same answer")


def _as_question(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


Loose = Annotated[Question, BeforeValidator(_as_question, json_schema_input_type=str | Question)]


class Questions(Section):
    """Many texts to classify: plain strings, or objects as for one text."""

    model_config = shown({"inputs": ["my card?", {"text": "hi", "user": "u1"}]})

    inputs: Many[Loose]


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

    model_config = shown(THUMBS_DOWN)

    prediction_id: Short
    kind: Literal["label", "correction", "thumbs"]
    value: Label = Field(description="the right label, or up | down for thumbs")
    source: Short = Field("", description="who says so")
    feedback_id: Short = Field("", description="made from the content when left out")

    @field_validator("value")
    @classmethod
    def _thumbs(cls, value: str, others: ValidationInfo) -> str:
        if others.data.get("kind") == "thumbs" and value not in ("up", "down"):
            raise ValueError("up or down, for thumbs")
        return value


A_DEMONSTRATION: dict[str, Any] = {
    "prediction_id": "019b8b74-1800-75ca-ba2e-f08341255975",
    "kind": "demonstration",
    "value": '{"name": "lights_off", "arguments": {"room": "kitchen"}}',
}


class WrittenFeedback(Section):
    """What a user, a reviewer or a later system said of an answer that a model wrote."""

    model_config = shown(A_DEMONSTRATION)

    prediction_id: Short = Field(description="the `id` of a completion, or prediction_id of an answer")
    kind: Literal["rating", "thumbs", "demonstration", "preference", "comment"]
    value: str | float | dict[str, Any] | list[Any] = Field(
        description="rating: a number from 0 to 1 (of 1 to 5 stars: (stars - 1) / 4); "
        "thumbs: up | down; demonstration: what it should have said, a text or JSON; "
        "preference: the prediction_id of the answer to the same request that this one is better than; "
        "comment: a text for people"
    )
    source: Short = Field("", description="who says so")
    feedback_id: Short = Field("", description="made from the content when left out")


AN_ANSWER: dict[str, Any] = {
    "prediction_id": "019b8b74-1800-75ca-ba2e-f08341255975",
    "request_id": "019b8b74-1800-7c2f-9f0e-5d1c5b6f8a31",
    "label": "card_arrival",
    "score": 0.91,
    "model_version": "3",
    "variant": "champion",
}


class AnswerMessage(BaseModel):
    """The stored answer to one text: which version of the model gave it, and in which role."""

    prediction_id: str
    request_id: str
    label: str
    score: float
    model_version: str
    variant: str


class AnswersMessage(BaseModel):
    """One answer a text, in the order of the texts."""

    model_config = shown({"predictions": [AN_ANSWER]})

    predictions: list[AnswerMessage]


CALLED = {"label": "output", "score": "confidence"}  # what callers and files call them -> as they are


def told(answer: Prediction, name: str) -> Any:
    """A value of an answer, by the name that callers and files know it by."""
    return getattr(answer, CALLED.get(name, name))


def answers(found: Sequence[Prediction]) -> bytes:
    """`AnswersMessage` as JSON."""
    rows = [
        {
            "prediction_id": p.prediction_id,
            "request_id": p.request_id,
            "label": p.output,
            "score": p.confidence,
            "model_version": p.model_version,
            "variant": p.variant,
        }
        for p in found
    ]
    return orjson.dumps({"predictions": rows})


class FeedbackStored(BaseModel):
    """The feedback is in the store."""

    model_config = shown({"feedback_id": "5f0c2d8e4a7b4c1d"})

    feedback_id: str
    note: str = Field("", description="why it does not train yet, where it does not")


class Alive(BaseModel):
    """The process answers."""

    model_config = shown({"status": "alive"})

    status: Literal["alive"]


class Live(BaseModel):
    """The rollout under way."""

    rollout_id: str
    candidate: str
    champion: str
    stage: str
    share: float


class Ready(BaseModel):
    """Who serves; `faults` are what is wrong although the server answers."""

    model_config = shown({"champion": "3", "rollout": None, "faults": []})

    champion: str
    rollout: Live | None
    faults: list[str]
