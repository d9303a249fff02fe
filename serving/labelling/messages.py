"""What the labelling page's calls take and give. Strict: a field not named here is a fault."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from core.params import Section
from core.records.labels import TaskState
from serving.messages import shown
from serving.messages.own import Label, Short, storable

ID = "019b8b74-1800-75ca-ba2e-f08341255975"
A_CHOICE: dict[str, Any] = {"label": "card_arrival", "score": 0.62}
A_TASK: dict[str, Any] = {
    "prediction_id": ID,
    "text": "my card?",
    "timestamp": "2026-01-05T09:00:00Z",
    "segments": {"channel": "chat"},
    "why": "the model was unsure",
    "blind": False,
    "guess": A_CHOICE,
    "choices": [A_CHOICE, {"label": "card_linking", "score": 0.31}],
}


class VoteBody(Section):
    """What one person says of one task."""

    model_config = shown({"prediction_id": ID, "annotator": "ann", "label": "card_arrival"})

    prediction_id: Short
    annotator: str = Field("", description="who says so; with API keys it is the key's name")
    label: Label | None = Field(description="null skips the task")
    note: Annotated[str, Field(max_length=1000), AfterValidator(storable)] = ""
    new: bool = Field(False, description="the label is meant, although nobody has used it yet")


class WrittenVoteBody(Section):
    """What one person says of one task whose answer a model wrote."""

    model_config = shown({"prediction_id": ID, "annotator": "ann", "label": '{"name": "lights_off"}'})

    prediction_id: Short
    annotator: str = Field("", description="who says so; with API keys it is the key's name")
    label: str | None = Field(description="what it should say; null skips the task")
    note: Annotated[str, Field(max_length=1000), AfterValidator(storable)] = ""
    new: bool = Field(False, description="of labels only")
    better: Short = Field(
        "", description="where two models answered: the prediction_id of the answer that is better"
    )


class AnswerBody(Section):
    """An answer while it is typed."""

    model_config = shown({"answer": '{"name": '})

    answer: str


class Checked(BaseModel):
    """Why it cannot be taken; empty where it can."""

    model_config = shown({"fault": "the answer is no JSON: Expecting value: line 1 column 10 (char 9)"})

    fault: str


class Voted(BaseModel):
    """The vote is in the store."""

    model_config = shown({"prediction_id": ID, "state": "done"})

    prediction_id: str
    state: TaskState


class Unvoted(BaseModel):
    """The vote is no longer in the store."""

    model_config = shown({"prediction_id": ID})

    prediction_id: str


class Setup(BaseModel):
    """What the page needs once."""

    model_config = shown(
        {
            "annotator": "",
            "labelled": True,
            "labels": ["card_arrival", "card_linking"],
            "label_set": 0,
            "open": True,
            "annotators": 1,
            "lease_seconds": 900.0,
            "guideline": "<h1>How to label</h1>",
        }
    )

    annotator: str = Field(description="the API key's name, empty without keys")
    labelled: bool = Field(description="answers are labels; else a model wrote them")
    labels: list[str]
    label_set: int = Field(description="how often labels were added, merged, split or retired")
    open: bool = Field(description="a label that is not among these is a new class")
    annotators: int = Field(description="votes that have to agree")
    lease_seconds: float = Field(description="how long a task is yours")
    guideline: str = Field(description="HTML, safe to show; empty without one")


class Choice(BaseModel):
    """A label and its chance by the model."""

    label: str
    score: float


class Rival(BaseModel):
    """What another model answered to the same request."""

    prediction_id: str
    answer: str
    left: bool = Field(description="it stands on the left: neither side says which model it is")


class Turn(BaseModel):
    """A message of a chat."""

    role: str
    content: str


class TaskMessage(BaseModel):
    """A text to label."""

    prediction_id: str
    text: str
    timestamp: datetime = Field(description="when the text came")
    segments: dict[str, str]
    why: str = Field(description="why it was picked; empty on a blind task")
    blind: bool = Field(description="ask the person before you show guess, choices and similar texts")
    guess: Choice | None
    choices: list[Choice] = Field(description="the likeliest labels, likeliest first")
    turns: list[Turn] = Field([], description="the messages of a chat, where it has more than one")
    comments: list[str] = Field([], description="of users on the answer; none on a blind task")
    rival: Rival | None = Field(None, description="of a model that writes, where two answered")


class Tasks(BaseModel):
    """The tasks that are yours for a time."""

    model_config = shown({"annotator": "ann", "tasks": [A_TASK], "label_set": 0})

    annotator: str
    tasks: list[TaskMessage]
    label_set: int = Field(description="if it is not that of /v1/label/setup, ask for the labels again")


class ProgressShown(BaseModel):
    """How far one annotator is."""

    model_config = shown({"today": 7, "labelled": 112, "skipped": 3, "left": 13})

    today: int = Field(description="votes and skips since `since`")
    labelled: int
    skipped: int
    left: int


class Near(BaseModel):
    """A labelled text and how like it is: the cosine of the embeddings."""

    text: str
    label: str
    similarity: float


class NearOnes(BaseModel):
    """The labelled texts most like one."""

    model_config = shown(
        {"similar": [{"text": "where is my card", "label": "card_arrival", "similarity": 0.91}]}
    )

    similar: list[Near]
