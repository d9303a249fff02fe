"""Any body up to the limit, to every protocol of a real server: no 5xx, nobody beside it waits, no
memory stays.

    python -m bench.fuzz                100,000 requests, about a quarter of an hour
    python -m bench.fuzz --quick        3,000 requests, about a minute after the start

The server (`everloop serve`, a champion trained on the bundled sample) runs in a process of its own, on
loopback. The requests come from one seed (`fuzzed.py`), by eight callers; `prober.py` asks /health
beside them, every 20 ms, from a process of its own. What fails is kept as it was sent: bench/out/fuzz/.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.form import Row, report
from bench.fuzzed import SECRET, Asked, heavy, requests, valid
from bench.material import make_workspace
from bench.systems import Running, System, running

OUT = Path(__file__).parent / "out" / "fuzz"
CALLERS = 8
PATIENCE = 330.0  # seconds for one answer
REST = 10.0  # seconds the server rests before its memory is read
KEPT = 50  # failed requests on disk


@dataclass
class Found:
    """What came back."""

    codes: Counter[tuple[str, int]] = field(default_factory=Counter)  # by kind and status; 0: nothing
    failed: list[tuple[Asked, int, bytes]] = field(default_factory=list)

    def add(self, asked: Asked, status: int, answer: bytes) -> None:
        self.codes[asked.kind, status] += 1
        fine = 0 < status < 500 or (status == 504 and asked.hurried) or (status == 0 and asked.wild)
        if not fine:
            self.failed.append((asked, status, answer[:2000]))

    def by_status(self) -> dict[int, int]:
        found: Counter[int] = Counter()
        for (_, status), count in self.codes.items():
            found[status] += count
        return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="for a look")
    parser.add_argument("--count", type=int, help="so many requests")
    parser.add_argument("--seconds", type=float, default=3600, help="no request begins later than that")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workspace", type=Path, help="one with a champion, instead of a new one")
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args()
    count = args.count or (3_000 if args.quick else 100_000)
    with tempfile.TemporaryDirectory() as folder:
        workspace = args.workspace or make_workspace(Path(folder) / "shop")
        rows = bench(workspace, args.seed, count, args.seconds)
    report("fuzz", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def bench(workspace: Path, seed: int, count: int, seconds: float) -> list[Row]:
    _patient(workspace)
    serve = (sys.executable, "-m", "everloop", "serve", "-w", str(workspace), "--port", "{port}")
    system = System(
        "everloop",
        (*serve, "--log-level", "error"),
        "/v1/predict",
        '{"text": TEXT}',
        env={"EVERLOOP_WEBHOOK_SECRET": SECRET},
    )
    with running(system) as server:
        fresh = _memory(server)
        _send(server, _warm(seed), 600)
        time.sleep(REST)
        before = _memory(server)
        with _probed(server) as idle:
            time.sleep(REST)
        cpu, start = server.cpu_seconds(), time.monotonic()
        with _probed(server) as beside, _peak(server) as peak:
            found = _send(server, requests(seed, count), seconds)
        took, cpu = time.monotonic() - start, server.cpu_seconds() - cpu
        time.sleep(REST)
        after = _memory(server)
    _keep(found)
    sent = sum(found.codes.values())
    return [
        Row("requests", sent, "", f">= {count}", "", f"{sent / took:.0f}/s, seed {seed}"),
        Row("answered by 5xx, or not at all", len(found.failed), "", "== 0", str(found.by_status())),
        Row("/health beside them, p99", beside["p99"], "ms", "<= 100", _said(beside)),
        Row("/health while nothing else is asked, p99", idle["p99"], "ms", "", _said(idle)),
        Row("processor time a request", cpu / sent * 1000, "ms"),
        Row(
            "memory after / before",
            after / before,
            "times",
            "<= 1.1",
            f"{before:.0f} to {after:.0f} MB",
        ),
        Row("memory at most", peak["most"], "MB", "", f"{fresh:.0f} MB after the start"),
    ]


def _said(probe: dict[str, Any]) -> str:
    return "p50 {p50}, max {max} ms, {count} asked, {failed} failed".format(**probe)


def _patient(workspace: Path) -> None:
    """Give answers five minutes: a machine that is busy is no server that fails."""
    params = workspace / "params.yaml"
    lines = params.read_text(encoding="utf-8")
    if "timeout_ms" not in lines:
        lines = lines.replace("serving:\n", "serving:\n  timeout_ms: 300000\n", 1)
        params.write_text(lines, encoding="utf-8")


def _warm(seed: int) -> Iterator[Asked]:
    """Good requests of every kind and size: what the server needs for them is not what is measured."""
    rng = random.Random(seed)
    for i in range(300):
        yield (heavy if i % 50 == 0 else valid)(rng, 4 * 1024 * 1024)


def _memory(server: Running) -> float:
    """Resident memory of the server's process, MB."""
    return float(server.tree.memory_info().rss) / 1e6


@contextmanager
def _peak(server: Running) -> Iterator[dict[str, float]]:
    """The most memory seen, four times a second."""
    found, over = {"most": 0.0}, threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            with suppress(psutil.Error):
                found["most"] = max(found["most"], _memory(server))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@contextmanager
def _probed(server: Running) -> Iterator[dict[str, Any]]:
    """How long /health took while the block ran; filled when it ends."""
    found: dict[str, Any] = {}
    command = [sys.executable, "-m", "bench.prober", str(server.port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent
    ) as prober:
        try:
            assert prober.stdout
            prober.stdout.readline()
            yield found
            told, _ = prober.communicate(timeout=PATIENCE)
            found |= json.loads(told)
        finally:
            prober.kill()


def _send(server: Running, asked: Iterator[Asked], seconds: float) -> Found:
    return asyncio.run(send(server.port, asked, seconds))


async def send(port: int, asked: Iterator[Asked], seconds: float, callers: int = CALLERS) -> Found:
    """Send them all, by so many callers at once, for so long."""
    found, alone, end = Found(), asyncio.Lock(), time.monotonic() + seconds

    async def caller() -> None:
        line = Line(port)
        for item in asked:
            if time.monotonic() > end:
                break
            if item.heavy:
                async with alone:
                    found.add(item, *await line.ask(item))
            else:
                found.add(item, *await line.ask(item))
        line.close()

    await asyncio.gather(*(caller() for _ in range(callers)))
    return found


class Line:
    """One connection, made again when it is lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, asked: Asked) -> tuple[int, bytes]:
        """Status and body; status 0 where nothing came. A kept connection may be closed: once more."""
        fresh = self._writer is None
        status, answer = await self._once(asked)
        if status == 0 and not fresh and not asked.wild:
            status, answer = await self._once(asked)
        return status, answer

    async def _once(self, asked: Asked) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(2.0 if asked.wild else PATIENCE):
                if self._writer is None:
                    made = asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
                    self._reader, self._writer = await made
                writing = asyncio.ensure_future(self._write(asked.raw))
                try:
                    status, answer, kept = await self._read(asked)
                finally:
                    writing.cancel()
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
            self.close()
            return 0, b""
        if not kept or asked.wild or asked.kind == "headed" or not writing.done():
            self.close()
        return status, answer

    async def _write(self, raw: bytes) -> None:
        assert self._writer
        with suppress(OSError):  # an answer may come before all is sent
            self._writer.write(raw)
            await self._writer.drain()

    async def _read(self, asked: Asked) -> tuple[int, bytes, bool]:
        assert self._reader
        status = 100
        while status < 200:
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head[9:12])
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        bare = asked.method == "HEAD" or status in (204, 304)
        answer = b"" if bare else await self._reader.readexactly(length)
        return status, answer, b"connection: close" not in head

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def _keep(found: Found) -> None:
    """The requests that failed, each with its answer in front."""
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*.http"):
        old.unlink()
    for i, (asked, status, answer) in enumerate(found.failed[:KEPT]):
        print(f"FAILED {asked.kind} {status} {asked.raw[:120]!r} {answer[:200]!r}", file=sys.stderr)
        (OUT / f"{i:03}-{asked.kind}-{status}.http").write_bytes(asked.raw)


if __name__ == "__main__":
    main()
