"""A small server that speaks OpenAI's protocol, in a process of its own: python -m tests.serving.engines.stub_engine MODEL.

It prints its port. PUT /mode says how it behaves from then on, GET /seen what it was asked.
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
        self.mode, self.model = "ok", model
        self.seen: list[Any] = []

    def routes(self) -> list[Route]:
        return [
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/mode", self.change, methods=["PUT"]),
            Route("/seen", self.asked),
        ]

    async def models(self, _: Request) -> Response:
        if self.mode == "down":
            return Response(status_code=500)
        return JSONResponse({"object": "list", "data": [{"id": self.model, "object": "model"}]})

    async def change(self, request: Request) -> Response:
        vars(self).update(await request.json())
        return Response()

    async def asked(self, _: Request) -> Response:
        return JSONResponse(self.seen)

    async def chat(self, request: Request) -> Response:
        self.seen.append(body := await request.json())
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
        calls = [{"tool_calls": [call]} for call in TOOL] if mode == "tools" else []
        for at, delta in enumerate(calls or [{"content": word} for word in WORDS]):
            await asyncio.sleep(0.3 if mode == "slow" else 0)
            if mode == "dies" and at == 2:
                raise RuntimeError("told to die")
            token = {"token": WORDS[at], "logprob": -0.1 * (at + 1), "bytes": None, "top_logprobs": []}
            choice = {"index": 0, "delta": delta, "logprobs": {"content": [token]}}
            yield data(frame | {"choices": [choice | {"finish_reason": None}]})
            if mode == "half":
                return
        end = "tool_calls" if mode == "tools" else "stop"
        yield data(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        yield data(frame | {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4}})
        yield b"data: [DONE]\n\n"


def main(model: str) -> None:
    app = Starlette(routes=Stub(model).routes())
    with socket.create_server(("127.0.0.1", 0)) as door:
        sys.stdout.write(f"{door.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="critical", ws="none", lifespan="off")
        uvicorn.Server(config).run(sockets=[door])


def data(event: Any) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


if __name__ == "__main__":
    main(*sys.argv[1:])
