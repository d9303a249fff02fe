"""A request, the answer to it, and what is said of the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from core.arrays import Array
from core.records.writing import Decoding, Listener, Prompted

Said = Literal["label", "correction", "thumbs", "demonstration", "rating", "preference", "comment"]
TRUTHS: tuple[Said, ...] = ("label", "correction", "demonstration")  # what it should have been
WRITTEN: tuple[Said, ...] = ("demonstration", "comment")  # a text of the user's own
OPINIONS: tuple[Said, ...] = ("thumbs", "rating", "preference")  # how good it is, or which is better
Variant = Literal["champion", "canary", "challenger", "shadow"]
ANSWERED: tuple[Variant, ...] = ("champion", "canary", "challenger")  # what a user got to see


Message = Mapping[str, Any]  # {"role": "user", "content": "..."}, as OpenAI's protocol has it
Clean = Callable[[str], str]  # a text as it may be stored


@dataclass(frozen=True)
class Request:
    """One input to answer, as it came through the door."""

    request_id: str
    timestamp: datetime
    text: str  # the input as `task.render` gives it
    user_key: str = ""  # hashed, see hash_user
    segments: dict[str, str] = field(default_factory=dict)
    fresh: bool = False  # its id was made a moment ago: nobody can have asked under it before
    version: str = ""  # who shall answer, if one that serves now was named; "" leaves it to the router
    messages: tuple[Message, ...] = ()  # where the input is more than its text
    how: Decoding | None = None  # where the caller says how to write the answer
    listener: Listener = field(default_factory=Listener, compare=False)  # hears it being written

    @property
    def input(self) -> Any:
        """What the model is given."""
        asked = list(self.messages) or self.text
        return asked if self.how is None else Prompted(asked, self.how, self.listener)


@dataclass(frozen=True)
class ClassificationDetail:
    """What only a classifier says of its answer."""

    probabilities: Array  # (n_labels,) float16, in the model's label order

    def cleaned(self, output: str, _clean: Clean, /) -> tuple[str, ClassificationDetail]:
        """Output and detail as they may be stored: a label is nobody's text."""
        return output, self

    def counted(self, output: str, /) -> str:
        """What of an answer may be counted where no text is kept."""
        return output


@dataclass(frozen=True)
class GenerationDetail:
    """What only a model that writes says of its answer."""

    messages: tuple[Message, ...] = ()  # that were asked, where they are more than the text
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str = "stop"  # stop | length | ..., as the engine says
    mean_logprob: float | None = None  # of the tokens that it wrote; None where the engine does not say
    min_logprob: float | None = None
    first_token_ms: float | None = None

    def cleaned(self, output: str, clean: Clean, /) -> tuple[str, GenerationDetail]:
        messages = tuple(_cleaned(m, clean) for m in self.messages)
        return clean(output), replace(self, messages=messages)

    def counted(self, _output: str, /) -> str:
        return self.finish_reason


def _cleaned(value: Any, clean: Clean) -> Any:
    """Every text of a message, at every depth, but who speaks."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {k: v if k == "role" else _cleaned(v, clean) for k, v in value.items()}
    return [_cleaned(v, clean) for v in value] if isinstance(value, Sequence) else value


Detail = ClassificationDetail | GenerationDetail


@dataclass(frozen=True)
class Prediction:
    """One answer of one model, whatever its task; `detail` is what only this task says of it. `canary`
    or, in an A/B test, `challenger` where it is the candidate's. `shadow` answers are stored and never
    sent."""

    prediction_id: str  # uuid7; the same request and variant always give the same id
    request_id: str
    timestamp: datetime
    model_version: str
    variant: Variant
    text: str
    output: str
    confidence: float  # 0..1, of the output
    detail: Detail
    embedding: Array | None  # (dim,) float16; None on a shadow row: the answering row has it
    encoder: str  # identity of the encoder that made the embedding
    segments: dict[str, str]
    user_key: str
    latency_ms: float
    propensity: float = 1.0  # chance that the log keeps such a row; 1 where all are kept

    @property
    def input(self) -> Any:
        """What was asked, as the log has it."""
        return list(getattr(self.detail, "messages", ())) or self.text


@dataclass(frozen=True)
class Feedback:
    """What a user said of an answer. A `label`, a `correction` or a `demonstration` says what it should
    have been; `thumbs` are up or down; a `rating` is a number from 0 to 1; a `preference` names the
    answer to the same request that this one is better than; a `comment` is a text for people."""

    feedback_id: str
    prediction_id: str
    timestamp: datetime
    kind: Said
    value: str
    source: str = ""  # who says so, as the caller tells it
    caller: str = ""  # the API key, else the hashed address, as the server saw it; "" where none did


@dataclass(frozen=True)
class Quarantined:
    """A row that failed data quality checks: it is monitored, and not worth a label."""

    request_id: str
    timestamp: datetime  # when it was answered
    reasons: list[str]  # names of the checks it failed
