"""A load generator: prebuilt HTTP/1.1 bytes over keep-alive connections, in a process of its own.

    python -m bench.load --port 8000 --path /v1/predict --body '{"text": TEXT}' --texts texts.json \\
        --concurrency 32 --seconds 8
    {"count": 3608, "failed": 0, "rate": 451.0, "p50": 70.1, "p95": 81.3, "p99": 93.0, "sent": 4511}

Closed loop (--concurrency): so many callers, each asking again once it has its answer. Open loop
(--rate): calls begin on a fixed beat whatever the server does, and latency counts from that beat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import uvloop

from bench.answers import Answer, summary

LANES = 64  # connections of an open loop
PATIENCE = 15.0  # seconds for what is still open at the end


Next = Callable[[], tuple[int, float] | None]  # the next text and when it was due


@dataclass
class Load:
    """One run against one server: HTTP requests, sent in order, after the last the first again."""

    requests: Sequence[bytes]
    port: int
    answers: list[Answer] = field(default_factory=list)
    idle: deque[Lane] = field(default_factory=deque)
    busy: set[Lane] = field(default_factory=set)
    connecting: set[asyncio.Task[None]] = field(default_factory=set)
    over: bool = False
    following: Next = field(default=lambda: None)

    async def closed(self, callers: int, seconds: float) -> None:
        texts, end = count(), time.monotonic() + seconds

        def following() -> tuple[int, float] | None:
            now = time.monotonic()
            return (next(texts), now) if now < end else None

        self.following = following
        for _ in range(callers):
            await self.connect()
        await asyncio.sleep(seconds)
        await self._wait()

    async def open(self, rate: float, seconds: float) -> None:
        waiting: deque[tuple[int, float]] = deque()
        self.following = lambda: waiting.popleft() if waiting else None
        for _ in range(LANES):
            await self.connect()
        start = time.monotonic()
        for i in range(int(rate * seconds)):
            beat = start + i / rate
            if beat > time.monotonic():
                await asyncio.sleep(beat - time.monotonic())
            waiting.append((i, beat))
            self.put()
        await self._wait()
        self.answers += [Answer(i, due, due, time.monotonic(), 0, b"never sent") for i, due in waiting]

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Lane(self), "127.0.0.1", self.port)

    def put(self) -> None:
        """Let the lane that has rested longest take what is next, if anything is."""
        if self.idle and (following := self.following()):
            i, due = following
            lane = self.idle.popleft()
            self.busy.add(lane)
            lane.send(i, due, self.requests[i % len(self.requests)])

    async def _wait(self) -> None:
        """Give what is open some time; what has no answer then is a failure."""
        end = time.monotonic() + PATIENCE
        while self.busy and time.monotonic() < end:
            await asyncio.sleep(0.01)
        self.over = True
        for lane in list(self.busy):
            lane.done(0, b"no answer")
            self.idle.append(lane)
        for lane in self.idle:
            lane.transport.close()
        await asyncio.sleep(0.01)  # the transports end


class Lane(asyncio.Protocol):
    """One connection, one call at a time; a lost one is replaced."""

    def __init__(self, load: Load) -> None:
        self.load, self.buffer, self.call = load, b"", (-1, 0.0, 0.0)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.load.idle.append(self)
        self.load.put()

    def send(self, text: int, due: float, request: bytes) -> None:
        self.call = (text, due, time.monotonic())
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if (whole := split(self.buffer)) is not None:
            self.buffer = b""
            self.done(*whole)
            self.load.idle.append(self)
            self.load.put()

    def connection_lost(self, fault: Exception | None) -> None:  # noqa: ARG002  asyncio gives it
        if self in self.load.busy:
            self.done(0, b"the connection ended")
        if not self.load.over:
            if self in self.load.idle:
                self.load.idle.remove(self)
            self.load.connecting.add(asyncio.get_running_loop().create_task(self.load.connect()))

    def done(self, status: int, body: bytes) -> None:
        text, due, sent = self.call
        self.load.busy.discard(self)
        self.load.answers.append(Answer(text, due, sent, time.monotonic(), status, body))


def split(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of a whole HTTP answer with a Content-Length, None while some is missing.

    >>> split(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}")
    (200, b'{}')
    >>> split(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{")
    """
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        return None
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    return (int(head[9:12]), body) if len(body) >= length else None


def request(path: str, body: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", required=True, help="JSON in which TEXT stands for the text")
    parser.add_argument("--texts", type=Path, required=True, help="a JSON list of what to send")
    parser.add_argument("--skip", type=int, default=0, help="texts of the list that were sent before")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rate", type=float, help="calls a second of an open loop")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--warm", type=float, default=1.0, help="seconds before those that count")
    parser.add_argument("--answers", type=Path, help="write every answer here, one JSON list a line")
    args = parser.parse_args()
    texts = json.loads(args.texts.read_text())[args.skip :]
    load = Load(
        [request(args.path, args.body.replace("TEXT", json.dumps(t))) for t in texts], args.port
    )
    begin, whole = time.monotonic() + args.warm, args.warm + args.seconds
    uvloop.run(load.open(args.rate, whole) if args.rate else load.closed(args.concurrency, whole))
    if args.answers:
        lines = ([a.text + args.skip, a.sent, a.got, a.status, a.body.decode()] for a in load.answers)
        args.answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(json.dumps(summary(load.answers, begin, args.seconds) | {"sent": len(load.answers)}))


if __name__ == "__main__":
    main()
