"""What the calls of OpenAI's protocol take. Strict: a field that is not done here is a fault."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from core.params import Section
from core.tasks.judges import schema_fault
from serving.messages import Many, shown
from serving.messages.own import Short

NAME = "everloop"  # of whoever serves; NAME-3 is version 3
MOST_CHOICES = 16
TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


def _kept(store: bool | None) -> bool | None:
    if store is False:
        raise ValueError("true: each answer is stored; with logging.policy: profile no text of it is")
    return store


def _known(form: dict[str, Any] | None) -> dict[str, Any] | None:
    """A response_format that says what it is, with a JSON Schema that is one."""
    if form is None or form.get("type") in ("text", "json_object"):
        return form
    if form.get("type") != "json_schema":
        raise ValueError('{"type": "text" | "json_object" | "json_schema", ...}')
    about = form.get("json_schema")
    schema = about.get("schema") if isinstance(about, dict) else None
    if not isinstance(schema, dict):
        raise ValueError('a JSON Schema as {"json_schema": {"name": ..., "schema": {...}}}')
    if fault := schema_fault(schema):
        raise ValueError(f"a valid JSON Schema; {fault}")
    return form


def _functions(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Tools that are functions with a name, and parameters that are a JSON Schema."""
    for at, tool in enumerate(tools or ()):
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict):
            raise ValueError(f'{{"type": "function", "function": {{"name": ...}}}} at {at}')
        if not isinstance(function.get("name"), str):
            raise ValueError(f"a function with a name at {at}")
        parameters = function.get("parameters", {})
        if not isinstance(parameters, dict):
            raise ValueError(f"parameters as a JSON Schema at {at}")
        if fault := schema_fault(parameters):
            raise ValueError(f"parameters as a valid JSON Schema at {at}; {fault}")
    return tools


def _chosen(choice: Any) -> Any:
    named = choice.get("function") if isinstance(choice, dict) else None
    if choice in (None, "none", "auto", "required") or (isinstance(named, dict) and "name" in named):
        return choice
    raise ValueError('none, auto, required, or {"type": "function", "function": {"name": ...}}')


class StreamOptions(Section):
    include_usage: bool = False


class _Writing(Section):
    """What both calls take."""

    model: Short = Field(description="everloop, or a version that serves: everloop-3")
    n: int | None = Field(None, ge=1, le=MOST_CHOICES, description="answers to each prompt")
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = None
    temperature: float | None = Field(
        None, ge=0, le=2, description="0 where left out: the likeliest answer, the one that was tested"
    )
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Short | None = Field(None, description="who asks; only a hash of it is kept")
    store: Annotated[bool | None, AfterValidator(_kept)] = None
    metadata: Annotated[dict[Short, Short], Field(max_length=16)] | None = Field(
        None, description="segments of the traffic, e.g. {'channel': 'chat'}"
    )


A_CHAT: dict[str, Any] = {
    "model": NAME,
    "messages": [{"role": "user", "content": "turn the lights off"}],
}


class ChatBody(_Writing):
    """Messages to answer."""

    model_config = shown(A_CHAT)

    messages: Many[dict[str, Any]]
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: Annotated[dict[str, Any] | None, AfterValidator(_known)] = None
    tools: Annotated[list[dict[str, Any]] | None, AfterValidator(_functions)] = None
    tool_choice: Annotated[str | dict[str, Any] | None, AfterValidator(_chosen)] = None
    parallel_tool_calls: bool | None = None


class CompletionBody(_Writing):
    """Prompts to answer: each is one message of a user."""

    model_config = shown({"model": NAME, "prompt": "turn the lights off"})

    prompt: str | Many[str]
    logprobs: int | None = Field(None, ge=0, le=5)


class OpenaiError(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenaiFault(BaseModel):
    """What cannot be answered."""

    model_config = shown(
        {
            "error": {
                "message": "no such model; at model; got 'gpt-4'; expected everloop, everloop-3",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            }
        }
    )

    error: OpenaiError


class ChatAnswer(BaseModel):
    """The answers; `id` is that under which /v1/feedback knows the first. With `stream` it comes in
    pieces, as server-sent events."""

    model_config = shown(
        {
            "id": "019b8b74-1800-75ca-ba2e-f08341255975",
            "object": "chat.completion",
            "created": 1767603600,
            "model": "everloop-3",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": '{"name": "lights_off"}'},
                    "finish_reason": "stop",
                    "logprobs": None,
                    "prediction_id": "019b8b74-1800-75ca-ba2e-f08341255975",
                }
            ],
            "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21},
        }
    )

    id: str
    object: Literal["chat.completion", "text_completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, int]


class ModelCard(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """`everloop` is whoever answers a caller; the others are the versions that serve now."""

    model_config = shown(
        {
            "object": "list",
            "data": [{"id": NAME, "object": "model", "created": 0, "owned_by": NAME}],
        }
    )

    object: Literal["list"]
    data: list[ModelCard]
