"""What our server costs before an engine: the engine asked alone, and through the server, in one run.

    make bench-gateway                 a stub that takes as long as an engine; vLLM, where .vllm has one
    python -m bench.gateway --quick    two short rounds on the stub: two minutes

32 callers ask for streams of 32 to 95 tokens. The server embeds each request, finds its three nearest
examples, logs the answer with its tokens, and hands on every token. A round asks one after the other,
in turn, so that a machine that slows down slows both; numbers are compared within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
import yaml

from bench import stub_engine
from bench.form import Row, report
from bench.material import logged
from bench.systems import SHARED
from core.models.causal import probes
from core.models.causal.examples import Examples
from core.models.causal.language_model import load_language_model
from core.models.causal.model import CausalModel
from core.models.causal.offline import NAME
from core.models.classifier.encoder import DEFAULT, load_encoder
from core.records.versions import DatasetVersion
from core.records.weights import ReferenceAnswer, ReferenceToken
from core.state import Champion
from core.tables import Columns, read_rows
from everloop.sample import bundled
from flows.session import open_session
from serving.engines.deployments import weights_name

CALLERS, MOST = 32, 96
ROOT = Path(__file__).parents[1]
VLLM = ROOT / ".vllm" / "bin" / "vllm"
BOOT = 600.0  # seconds; vLLM takes a minute where nothing else runs
ENGINE = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}


@dataclass(frozen=True)
class Length:
    rounds: int
    seconds: float
    warm: float


FULL = Length(5, 15.0, 3.0)
QUICK = Length(2, 8.0, 3.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="for a look, on the stub alone")
    parser.add_argument("--json", type=Path, help="write the rows here")
    args = parser.parse_args()
    length = QUICK if args.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        rows = measured("stub", Path(folder) / "stub", length)
        if not args.quick and VLLM.is_file():
            rows += measured("vLLM", Path(folder) / "vllm", length)
    report("gateway", rows, args.json)
    sys.exit(any(r.holds is False for r in rows))


def measured(engine: str, workspace: Path, length: Length) -> list[Row]:
    model = prepare(workspace, stub=engine == "stub")
    name = weights_name(model.lm.sha256)
    command = stub(name) if engine == "stub" else vllm(model, name)
    with started(command, "/v1/models") as alone:
        serve_by(workspace, alone.url)
        serve = [sys.executable, "-m", "everloop", "serve", "-w", str(workspace), "--port"]
        with started(serve, "/ready") as ours:
            rounds = []
            for number in range(length.rounds):
                pair = [(alone, name), (ours, "everloop")]
                results = [load(*each, length) for each in (pair if number % 2 else pair[::-1])]
                rounds.append(results if number % 2 else results[::-1])
                print(engine, rounds[-1], file=sys.stderr)
            time.sleep(1)
            missing = sum(r[1]["answers"] for r in rounds) - logged(workspace)
    return rows_of(engine, rounds, missing)


def rows_of(engine: str, rounds: list[list[dict[str, Any]]], missing: int) -> list[Row]:
    """`rounds`: of each what was measured alone, and through the server."""
    rates = [ours["tokens_s"] / alone["tokens_s"] for alone, ours in rounds]
    waits = [median(ours["first_ms"]) - median(alone["first_ms"]) for alone, ours in rounds]
    costs = [ours["cpu_s"] / ours["tokens"] * 1e6 for _, ours in rounds]
    return [
        *(
            Row(f"{engine}, {who}", median([r[at]["tokens_s"] for r in rounds]), "tokens/s", "", peer=(
                f"first token p50 {median([median(r[at]['first_ms']) for r in rounds]):.0f} ms"
            ))
            for at, who in enumerate(("alone", "through Everloop"))
        ),
        Row(f"{engine}: throughput kept", median(rates), "times", ">= 0.95", spread(rates, 3)),
        Row(f"{engine}: first token later by", median(waits), "ms", "<= 10", spread(waits, 1)),
        Row(f"{engine}: our processor time a token", median(costs), "us", "", spread(costs, 0)),
        Row(f"{engine}: failed", sum(r["failed"] for pair in rounds for r in pair), "", "== 0"),
        Row(f"{engine}: answers that the log does not know", max(0, missing), "", "== 0"),
    ]  # fmt: skip


def prepare(workspace: Path, *, stub: bool) -> CausalModel:
    """A workspace whose champion is the base model with examples."""
    subprocess.run(
        [sys.executable, "-m", "everloop", "init", str(workspace), "--task", "generation"],
        check=True, capture_output=True,
    )  # fmt: skip
    rows = read_rows(bundled("generation") / "train.csv", Columns(label="answer")).frame
    texts = rows["text"].tolist()
    encoder, lm = load_encoder(DEFAULT), load_language_model(NAME)
    examples = Examples(texts, rows["label"].tolist(), encoder.encode(texts))
    model = CausalModel(encoder, lm, MOST, examples, shots=3)
    folder = workspace / "bench"
    model.save(folder)
    if stub:
        step = ReferenceToken(stub_engine.WORD, stub_engine.LOGPROB, 1.0)
        said = ReferenceAnswer(({"role": "user", "content": "hello"},), (step,) * 8)
        probes.save([said], folder / "generator", lm.sha256)
    about = DatasetVersion("v0001", datetime.now(UTC), "all", 1, "", "bench", "", {}, 0, "")
    session = open_session(workspace)
    candidate = session.registry.log_candidate(
        folder, key="bench", recipe="examples", params={}, metrics={}, dataset=about
    )
    session.store.state.write(Champion(candidate.version))
    session.store.close()
    return CausalModel.load(folder)


def serve_by(workspace: Path, url: str) -> None:
    params = workspace / "params.yaml"
    settings = yaml.safe_load(params.read_text(encoding="utf-8"))
    settings["serving"] |= {"engine": [url], "timeout_ms": 120_000}
    params.write_text(yaml.safe_dump(settings), encoding="utf-8")


def stub(name: str) -> list[str]:
    return [sys.executable, "-m", "bench.stub_engine", name]


def vllm(model: CausalModel, name: str) -> list[str]:
    how = "--dtype bfloat16 --max-model-len 1024 --max-num-seqs 32 --enforce-eager --host 127.0.0.1"
    return [
        str(VLLM),
        "serve",
        str(model.lm.folder),
        "--served-model-name",
        name,
        *how.split(),
        "--port",
    ]


@dataclass
class Started:
    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        tree = [self.process, *self.process.children(recursive=True)]
        return float(sum(t.user + t.system for t in (p.cpu_times() for p in tree)))


@contextmanager
def started(command: list[str], path: str) -> Iterator[Started]:
    """A server, given its port as the last argument, once `path` answers."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [*command, str(port)], cwd=ROOT, env=os.environ | SHARED | ENGINE, stdout=log, stderr=log
        ) as process,
    ):
        server = Started(port, psutil.Process(process.pid))
        try:
            end = time.monotonic() + BOOT
            while not answers(server.url + path):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    sys.exit(f"it does not answer: {' '.join(command)}\n{log.read()[-3000:]}")
                time.sleep(0.2)
            yield server
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def load(server: Started, model: str, length: Length) -> dict[str, Any]:
    """One run of the callers, and the processor time of the server."""
    messages = [{"role": "user", "content": "turn off light NUMBER in the hall"}]
    body = {
        "model": model,
        "messages": messages,
        "max_tokens": "TOKENS",
        "stream": True,
        "temperature": 0,
    }
    command = [sys.executable, "-m", "bench.stream_load", "--port", str(server.port)]
    how = ["--concurrency", str(CALLERS), "--seconds", str(length.seconds), "--warm", str(length.warm)]
    before = server.cpu_seconds()
    done = subprocess.run(
        [*command, "--body", json.dumps(body), *how], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"cpu_s": server.cpu_seconds() - before}


def spread(values: list[float], digits: int) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


if __name__ == "__main__":
    main()
