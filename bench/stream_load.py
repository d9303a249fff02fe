"""Callers who ask for streams, in a process of its own.

    python -m bench.stream_load --port 8000 --body '{"model": ..., "stream": true}'
    {"answers": 212, "failed": 0, "tokens": 14502, "tokens_s": 1450.2, "first_ms": [51.2, ...]}

Each of --concurrency callers asks again once its answer ended. In the body NUMBER stands for a number
that never repeats, and "TOKENS" for the length of an answer: 32 to 95, so that callers do not ask in
step. A token is an event with content.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import uvloop

from bench.load import request

TOKEN = re.compile(rb'"content": ?"[^"]')
END = b"data: [DONE]"
PATIENCE = 120.0


@dataclass
class Heard:
    """What counts of a run: tokens and answers that came within its time."""

    begin: float
    end: float
    tokens: int = 0
    answers: int = 0
    failed: int = 0
    first_ms: list[float] = field(default_factory=list)

    def took(self, tokens: int) -> None:
        self.tokens += tokens if self.begin <= time.monotonic() < self.end else 0


async def caller(port: int, bodies: Iterator[bytes], heard: Heard) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (sent := time.monotonic()) < heard.end:
        writer.write(next(bodies))
        try:
            async with asyncio.timeout(PATIENCE):
                await answer(reader, sent, heard)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            heard.failed += 1
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def answer(reader: asyncio.StreamReader, sent: float, heard: Heard) -> None:
    """Raises ValueError: refused, or it broke off."""
    status = await reader.readline()
    while (await reader.readline()).strip():
        pass
    if b" 200 " not in status:
        raise ValueError("refused")
    first, part = False, b""
    while size := int(await reader.readline(), 16):  # the body comes in chunks
        part = await reader.readexactly(size + 2)
        found = len(TOKEN.findall(part))
        heard.took(found)
        if found and not first:
            first = True
            if heard.begin <= sent < heard.end:
                heard.first_ms.append((time.monotonic() - sent) * 1000)
    await reader.readline()
    if END not in part:
        raise ValueError("it broke off")
    heard.answers += 1


def calls(body: str) -> Iterator[bytes]:
    draw = random.Random(0)
    for number in count():
        tokens = str(draw.randrange(32, 96))
        said = body.replace("NUMBER", str(number)).replace('"TOKENS"', tokens)
        yield request("/v1/chat/completions", said)


async def load(port: int, body: str, callers: int, heard: Heard) -> None:
    bodies = calls(body)
    await asyncio.gather(*(caller(port, bodies, heard) for _ in range(callers)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--body", required=True)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warm", type=float, default=3.0, help="seconds before those that count")
    args = parser.parse_args()
    begin = time.monotonic() + args.warm
    heard = Heard(begin, begin + args.seconds)
    uvloop.run(load(args.port, args.body, args.concurrency, heard))
    print(
        json.dumps(
            {
                "answers": heard.answers,
                "failed": heard.failed,
                "tokens": heard.tokens,
                "tokens_s": heard.tokens / args.seconds,
                "first_ms": sorted(heard.first_ms),
            }
        )
    )


if __name__ == "__main__":
    main()
