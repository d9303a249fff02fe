"""An engine that writes nothing and takes as long as one that does.

    python -m bench.stub_engine MODEL PORT

It speaks OpenAI's protocol. A token comes every 20 ms, the first one after 50, as from a GPU.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

FIRST, EACH = 0.05, 0.02  # seconds
WORD = " light"
LOGPROB = -0.1


def events(body: Any) -> list[bytes]:
    """All that an answer is, made before it is sent: an engine's own work is not measured."""
    frame = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body["model"],
    }
    token = {"token": WORD, "logprob": LOGPROB, "bytes": list(WORD.encode()), "top_logprobs": []}
    said = {"content": [token]} if body.get("logprobs") else None
    choice = {"index": 0, "delta": {"content": WORD}, "logprobs": said, "finish_reason": None}
    count = body["max_tokens"]
    end = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    usage = {"prompt_tokens": 20, "completion_tokens": count, "total_tokens": count + 20}
    last = [frame | {"choices": [end]}, frame | {"choices": [], "usage": usage}]
    return [
        *[_data(frame | {"choices": [choice]})] * count,
        b"".join(map(_data, last)) + b"data: [DONE]\n\n",
    ]


def _data(event: Any) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


async def _paced(parts: list[bytes]) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    due = loop.time() + FIRST
    for part in parts:
        await asyncio.sleep(due - loop.time())
        yield part
        due += EACH


def main(model: str, port: str) -> None:
    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": model, "object": "model"}]})

    async def chat(request: Request) -> Response:
        return StreamingResponse(_paced(events(await request.json())), media_type="text/event-stream")

    app = Starlette(routes=[
        Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])
    ])  # fmt: skip
    uvicorn.run(app, port=int(port), log_level="critical", ws="none", lifespan="off")


if __name__ == "__main__":
    main(*sys.argv[1:])
