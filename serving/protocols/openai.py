"""OpenAI's protocol, for its own clients and all that speak it.

    curl -s localhost:8000/v1/chat/completions -H 'content-type: application/json' \\
        -d '{"model": "everloop", "messages": [{"role": "user", "content": "turn the lights off"}]}'
    {"id": "019b8b74-...", "object": "chat.completion", "model": "everloop-3", "choices": [...], ...}

`id` is the prediction id: POST /v1/feedback takes it. Each answer is stored before it is given; of a
stream, before its last event. Faults are {"error": {"message", "type", "param", "code"}}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from fastapi import Request as Call
from pydantic import BaseModel, TypeAdapter

from core.errors import InputError
from core.ids import hash_user
from core.records.answers import Request
from core.records.writing import Decoding
from core.tasks import Task
from serving.messages.openai import (
    NAME,
    TOOLS,
    ChatAnswer,
    ChatBody,
    CompletionBody,
    ModelCard,
    ModelList,
    OpenaiFault,
)
from serving.protocols.engine_client import (
    AROUND,
    WAIT,
    Direct,
    EngineClient,
    described,
    json,
    parameter,
    reference,
)
from serving.protocols.faults import NotFoundError
from serving.protocols.own import json_body
from serving.protocols.writing import CHAT, TEXT, AnswerForm, Writers
from serving.reading import JSON, read

BODIES = (ChatBody, CompletionBody)
READ_CHAT, READ_PROMPT = TypeAdapter(ChatBody), TypeAdapter(CompletionBody)


def routes(client: EngineClient, task: Task) -> APIRouter:
    router = APIRouter(route_class=Direct, tags=["OpenAI"])

    async def answer(
        call: Call,
        body: ChatBody | CompletionBody,
        inputs: Sequence[Any],
        how: Decoding,
        form: AnswerForm,
    ) -> Response:
        version = await _version(body.model, client)
        requests = _requests(client, task, body, inputs, how, version)
        writers = Writers(client, call, form, requests, how.top_logprobs is not None)
        if not body.stream:
            return json(await writers.whole())
        options = body.stream_options
        return await writers.stream(usage=bool(options and options.include_usage))

    @router.post("/v1/chat/completions", **_CHAT)
    async def chat(call: Call) -> Response:
        """Answer the messages of a chat."""
        body = await read(READ_CHAT, await json_body(call), client.most)
        return await answer(call, body, [body.messages], _how_of_chat(body), CHAT)

    @router.post("/v1/completions", **_COMPLETIONS)
    async def completions(call: Call) -> Response:
        """Answer prompts, each as one message of a user."""
        body = await read(READ_PROMPT, await json_body(call), client.most)
        prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        return await answer(call, body, prompts, _how(body, body.logprobs, body.max_tokens), TEXT)

    @router.get("/v1/models", **described(ModelList, {503: OpenaiFault}))
    async def models(_: Call) -> Response:
        """Who can be asked."""
        data = [_card(name) for name in await _names(client)]
        return json(ModelList(object="list", data=data).model_dump())

    @router.get("/v1/models/{name}", **_MODEL)
    async def model(call: Call) -> Response:
        """One of them."""
        name = call.path_params["name"]
        await _version(name, client)
        return json(_card(name).model_dump())

    return router


async def _names(client: EngineClient) -> list[str]:
    traffic, _ = await client.serving()
    serving = [traffic.champion, *([traffic.candidate] if traffic.candidate else [])]
    return [NAME, *(f"{NAME}-{one.version}" for one in serving)]


async def _version(name: str, client: EngineClient) -> str:
    """The version that a name is of; "" where the router chooses. Raises NotFoundError."""
    if name == NAME:
        return ""
    names = await _names(client)
    if name not in names:
        raise NotFoundError("no such model", where="model", got=ascii(name), expected=", ".join(names))
    return name.removeprefix(f"{NAME}-")


def _card(name: str) -> ModelCard:
    return ModelCard(id=name, object="model", created=0, owned_by=NAME)


def _requests(
    client: EngineClient,
    task: Task,
    body: ChatBody | CompletionBody,
    inputs: Sequence[Any],
    how: Decoding,
    version: str,
) -> list[Request]:
    """One for each answer wanted: `n` of them to each input, each with a seed of its own."""
    now, wanted = client.clock(), range(body.n or 1)
    who = hash_user(body.user or "")
    return [
        Request(
            request_id=client.new_id(now),
            timestamp=now,
            text=task.render(input),
            user_key=who,
            segments=body.metadata or {},
            fresh=True,
            version=version,
            messages=() if isinstance(input, str) else tuple(input),
            how=how.another(at),
        )
        for input in inputs
        for at in wanted
    ]


def _how_of_chat(body: ChatBody) -> Decoding:
    if body.top_logprobs is not None and not body.logprobs:
        raise InputError("top_logprobs needs logprobs", where="top_logprobs", do="send logprobs: true")
    if body.tools is None and (body.tool_choice or body.parallel_tool_calls is not None):
        raise InputError("tool_choice needs tools", where="tool_choice", do="send tools, too")
    _check_choice(body)
    how = _how(
        body,
        (body.top_logprobs or 0) if body.logprobs else None,
        body.max_completion_tokens or body.max_tokens,
        body.response_format,
    )
    return how.with_tools(body.model_dump(include=set(TOOLS), exclude_none=True))


def _check_choice(body: ChatBody) -> None:
    """Raises InputError: a function that has to be called, and is not among the tools."""
    names = [tool["function"]["name"] for tool in body.tools or ()]
    wanted = body.tool_choice["function"]["name"] if isinstance(body.tool_choice, dict) else None
    if wanted is not None and wanted not in names:
        raise InputError(
            "tool_choice names no tool",
            where="tool_choice",
            got=ascii(wanted),
            expected=", ".join(map(ascii, names)),
        )


def _how(
    body: ChatBody | CompletionBody,
    top_logprobs: int | None,
    most: int | None,
    form: dict[str, Any] | None = None,
) -> Decoding:
    if (body.n or 1) > 1 and not body.temperature:
        raise InputError(
            "n answers at temperature 0 are all the same",
            where="n",
            got=str(body.n),
            expected="1, or a temperature above 0",
        )
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Decoding(
        max_tokens=most,
        temperature=body.temperature or 0.0,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=tuple(text for text in stop if text),
        top_logprobs=top_logprobs,
        response_format=form,
    )


_REFUSED: dict[int, type[BaseModel]] = dict.fromkeys(
    (*AROUND, 400, 404, 415, 502, 503, 504), OpenaiFault
)
_CHAT = described(ChatAnswer, _REFUSED, {JSON: reference(ChatBody)}, [WAIT])
_COMPLETIONS = described(ChatAnswer, _REFUSED, {JSON: reference(CompletionBody)}, [WAIT])
_MODEL = described(
    ModelCard,
    {404: OpenaiFault, 503: OpenaiFault},
    None,
    [parameter("path", "name", {"type": "string"}, NAME)],
)
