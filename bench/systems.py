"""The servers that are measured: how each is started, asked, and what its process tree uses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
PEERS = HERE / ".venv" / "bin"
BOOT = 120.0  # seconds a server may take to answer its first call
# the same for everybody: no network, no telemetry, and waiting threads that sleep
SHARED = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "PASSIVE",
}


@dataclass(frozen=True)
class System:
    """`command` has {port}; `body` is JSON in which TEXT stands for the text."""

    name: str
    command: tuple[str, ...]
    path: str
    body: str
    cwd: Path = HERE.parent
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Running:
    system: System
    port: int
    tree: psutil.Process

    def ask(self, text: str) -> tuple[str, float]:
        """Label and score of one text."""
        url = f"http://127.0.0.1:{self.port}{self.system.path}"
        body = self.system.body.replace("TEXT", json.dumps(text)).encode()
        call = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(call, timeout=30) as answer:
            return label_of(json.load(answer))

    def cpu_seconds(self) -> float:
        return float(sum(t.user + t.system for t in (p.cpu_times() for p in self._processes())))

    def memory(self) -> float:
        """Proportional set size of the whole tree, MB: shared pages count once."""
        return float(sum(p.memory_full_info().pss for p in self._processes())) / 1e6

    def load(self, texts: Path, skip: int, *how: str) -> dict[str, Any]:
        """One run of the load generator, with the server's CPU time a call beside it."""
        command = load_command(self, texts, skip, *how)
        before = self.cpu_seconds()
        done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
        result["cpu_ms"] = (self.cpu_seconds() - before) / max(1, result["sent"]) * 1000
        return result

    def _processes(self) -> list[psutil.Process]:
        return [self.tree, *self.tree.children(recursive=True)]


def load_command(server: Running, texts: Path, skip: int, *how: str) -> list[str]:
    command = [sys.executable, "-m", "bench.load", "--port", str(server.port)]
    command += ["--path", server.system.path, "--body", server.system.body]
    return [*command, "--texts", str(texts), "--skip", str(skip), *how]


def label_of(answer: Any) -> tuple[str, float]:
    """The first label and score in any of the servers' answers.

    >>> label_of({"predictions": [{"label": "a", "score": 0.5}]}), label_of({"label": "b", "score": 1})
    (('a', 0.5), ('b', 1))
    """
    while "label" not in answer:
        answer = answer[0] if isinstance(answer, list) else answer["predictions"]
    return answer["label"], answer["score"]


@contextmanager
def running(system: System) -> Iterator[Running]:
    """The server, answering; ended with all its processes."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    command = [part.format(port=port) for part in system.command]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=system.cwd,
            env=os.environ | SHARED | system.env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        server = Running(system, port, psutil.Process(process.pid))
        try:
            if not _answers(server, process):
                log.seek(0)
                sys.exit(f"{system.name} does not answer: {' '.join(command)}\n{log.read()[-3000:]}")
            yield server
        finally:
            _end(process)


def _answers(server: Running, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + BOOT
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, urllib.error.URLError):
            server.ask("hello")
            return True
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    tree = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in tree:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()


def everloop(workspace: Path, name: str = "everloop torch", module: str = "everloop") -> System:
    """As a user runs it: all settings are those of the workspace's params.yaml."""
    command = (sys.executable, "-m", module, "serve", "-w", str(workspace), "--port", "{port}")
    return System(name, command, "/v1/predict", '{"text": TEXT}')


def mlflow(model: Path, **settings: float) -> System:
    """`mlflow models serve` of the model that the workspace's registry holds."""
    here = Path(sys.executable).parent
    how = ("--env-manager", "local", "--port", "{port}", "--workers", str(settings.get("workers", 1)))
    command = (str(here / "mlflow"), "models", "serve", "--model-uri", str(model), *how)
    env = {"PATH": f"{here}:{os.environ['PATH']}", "PYTHONPATH": str(HERE.parent)}
    env |= {"OMP_NUM_THREADS": str(settings["threads"])} if "threads" in settings else {}
    return System("mlflow models serve", command, "/invocations", '{"inputs": [TEXT]}', env=env)


def litserve(model: Path, **settings: float) -> System:
    command = (str(PEERS / "python"), "litserve_server.py", "{port}")
    env = _peer(model, settings)
    return System("LitServe", command, "/predict", '{"text": TEXT}', HERE / "peers", env)


def bentoml(model: Path, **settings: float) -> System:
    command = (str(PEERS / "bentoml"), "serve", "bentoml_service:Bench", "--port", "{port}")
    env = _peer(model, settings) | {"BENTOML_HOME": str(HERE / "out" / "bentoml")}
    return System("BentoML", command, "/classify", '{"texts": [TEXT]}', HERE / "peers", env)


def _peer(model: Path, settings: dict[str, float]) -> dict[str, str]:
    """The settings as bench/peers read them: BENCH_BATCH and so on."""
    given = {f"BENCH_{name.upper()}": str(value) for name, value in settings.items()}
    return given | {"BENCH_MODEL": str(model)}
