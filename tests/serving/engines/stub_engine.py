"""A small server that speaks OpenAI's protocol, in a process of its own: python -m tests.serving.engines.stub_engine MODEL [PORT].

It prints its port. PUT /mode says how it behaves from then on, GET /seen what it was asked. It takes adapters as vLLM does.
With `signed` the last token of each answer is the name of the model that was asked.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = ("turn", " the", " lights", " off")
TOOL = [
    {"index": 0, "id": "c1", "type": "function", "function": {"name": "off", "arguments": '{"room"'}},
    {"index": 0, "function": {"arguments": ': "hall"}'}},
]


class Stub:
    """Its state, and its routes."""

    def __init__(self, model: str) -> None:
        self.mode, self.model, self.signed = "ok", model, False
        self.first, self.each = 0.0, 0.0  # seconds until the first token, and until each other one
        self.loading = 0.0  # seconds that an adapter takes
        self.words = 0  # tokens of an answer; 0: WORDS
        self.seen: list[Any] = []
        self.adapters: dict[str, str] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/load_lora_adapter", self.load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self.unload, methods=["POST"]),
            Route("/mode", self.change, methods=["PUT"]),
            Route("/seen", self.asked),
        ]

    async def models(self, _: Request) -> Response:
        if self.mode == "down":
            return Response(status_code=500)
        names = [self.model, *self.adapters]
        return JSONResponse({"object": "list", "data": [{"id": n, "object": "model"} for n in names]})

    async def load(self, request: Request) -> Response:
        asked = await request.json()
        await asyncio.sleep(self.loading)
        if self.mode == "refuses" or asked["lora_name"] in self.adapters:
            return JSONResponse({"error": {"message": "no such adapter here"}}, 400)
        self.adapters[asked["lora_name"]] = asked["lora_path"]
        return Response("Success")

    async def unload(self, request: Request) -> Response:
        return Response(self.adapters.pop((await request.json())["lora_name"]))

    async def change(self, request: Request) -> Response:
        vars(self).update(await request.json())
        return Response()

    async def asked(self, _: Request) -> Response:
        return JSONResponse(self.seen)

    async def chat(self, request: Request) -> Response:
        self.seen.append(body := await request.json())
        if body["model"] not in (self.model, *self.adapters):
            return JSONResponse({"error": {"message": "no such model here"}}, 404)
        if self.mode.isdigit():
            fault = {"error": {"message": f"told to say {self.mode}"}}
            headers = {"retry-after": "7"} if self.mode == "503" else None
            return JSONResponse(fault, int(self.mode), headers)
        if self.mode == "nonsense":
            return Response("<html>welcome</html>", media_type="text/html")
        return StreamingResponse(self.events(self.mode, body), media_type="text/event-stream")

    async def events(self, mode: str, body: Any) -> AsyncIterator[bytes]:
        if mode == "garbled":
            yield b"data: {no json\n\n"
            return
        name = "somebody-else" if mode == "other" else body["model"]
        frame = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": name}
        words = self.answer(mode, body["model"])
        calls = [{"tool_calls": [call]} for call in TOOL] if mode in ("tools", "half a call") else []
        for at, delta in enumerate(calls or [{"content": word} for word in words]):
            await asyncio.sleep(0.3 if mode == "slow" else self.each if at else self.first)
            if mode == "dies" and at == 2:
                raise RuntimeError("told to die")
            token = {"token": words[at], "logprob": -0.1 * (at + 1), "bytes": None, "top_logprobs": []}
            choice = {"index": 0, "delta": delta, "logprobs": {"content": [token]}}
            yield data(frame | {"choices": [choice | {"finish_reason": None}]})
            if mode.startswith("half"):
                return
        end = "tool_calls" if mode == "tools" else "stop"
        yield data(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        usage = {"prompt_tokens": 5, "completion_tokens": len(calls or words)}
        yield data(frame | {"choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def answer(self, mode: str, model: str) -> list[str]:
        words = ["paint", " it"] if mode == "wrong" else list(WORDS)
        if self.words:
            words = [words[at % len(words)] for at in range(self.words)]
        return [*words, f" {model}"] if self.signed else words


def main(model: str, port: str = "0") -> None:
    app = Starlette(routes=Stub(model).routes())
    with socket.create_server(("127.0.0.1", int(port))) as door:
        sys.stdout.write(f"{door.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="critical", ws="none", lifespan="off")
        uvicorn.Server(config).run(sockets=[door])


def data(event: Any) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


if __name__ == "__main__":
    main(*sys.argv[1:])
