"""The local stack: Prefect with its state inside the workspace and its voice down."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core import workspace as places
from core.errors import EverloopError
from core.files import write_whole

START_SECONDS = 120
STOP_SECONDS = 10


# a server of the user's that goes away under a flow is known to be away within 15 s
IMPATIENT = {
    "PREFECT_API_REQUEST_TIMEOUT": "6",
    "PREFECT_CLIENT_MAX_RETRIES": "0",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",  # of a flow that says nothing; it shows tracebacks
}


def prefect_settings(root: Path, log_level: str = "WARNING", impatient: bool = False) -> None:
    """Set Prefect's environment before it is imported; what the user has set stays.

    While `everloop schedule` runs in the workspace its server is used; else Prefect starts one for the
    length of the process, which runs flows and no schedules.
    """
    folder = _folder(root)
    quiet = {
        "PREFECT_HOME": str(folder),
        "PREFECT_LOGGING_LEVEL": log_level,
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(START_SECONDS),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    }
    if impatient and "PREFECT_API_URL" in os.environ:
        quiet |= IMPATIENT
    url = _running(folder)
    for name, value in {**quiet, **({"PREFECT_API_URL": url} if url else {})}.items():
        os.environ.setdefault(name, value)


@contextmanager
def prefect_server(root: Path) -> Iterator[str]:
    """The URL of a Prefect server that lives as long as the block, or of the user's own.

    Schedules need it: the server that Prefect starts for itself makes no scheduled runs.
    Raises EverloopError when another process schedules this workspace or the server does not start.
    """
    theirs = os.environ.get("PREFECT_API_URL")
    folder = _folder(root)
    running = None if theirs else _running(folder)
    if running:
        raise EverloopError(
            "this workspace is being scheduled already",
            where=running,
            do="stop that `everloop schedule`",
        )
    prefect_settings(root)
    if theirs:
        yield theirs
        return
    process, url = _start(folder)
    os.environ["PREFECT_API_URL"] = url
    try:
        yield url
    finally:
        del os.environ["PREFECT_API_URL"]
        _address(folder).unlink(missing_ok=True)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def serve_prefect(port: int) -> None:
    """Prefect's API until stdin closes, so that it never outlives the process that started it."""
    import uvicorn

    def watch() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="error",
        lifespan="on",
    )


def _folder(root: Path) -> Path:
    folder = places.find(root).state / "prefect"
    folder.mkdir(parents=True, exist_ok=True)  # Prefect does not make it, and then waits in silence
    return folder


def _address(folder: Path) -> Path:
    """Where the URL of the running server is written."""
    return folder / "server.url"


def _running(folder: Path) -> str | None:
    """The URL of this workspace's server, if it answers."""
    try:
        url, _, owner = _address(folder).read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return None
    if owner and owner != str(folder.resolve()):
        return None  # this is a copy of a workspace that is being scheduled
    return url if _healthy(url) else None


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.read() == b"true")
    except OSError:
        return False


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    code = f"from everloop.stack import serve_prefect; serve_prefect({port})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: the server goes last
    )
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _healthy(url):
            write_whole(_address(folder), f"{url}\n{folder.resolve()}")
            return process, url
        time.sleep(0.2)
    process.kill()
    raise EverloopError(
        "Prefect's server did not start",
        where=str(folder),
        got=f"exit code {process.wait()}",
        expected=f"an answer within {START_SECONDS} s",
        do="PREFECT_SERVER_LOGGING_LEVEL=INFO everloop schedule shows why",
    )
