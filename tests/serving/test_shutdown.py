"""A server told to stop: what it began is ended, what it acknowledged is stored."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from core.store import Store
from flows.first import first_model
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW
from tests.small_loop import job, make_session


def client(store: Store, service: Service) -> TestClient:
    app = create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())
    return TestClient(app, base_url="http://localhost")


def test_a_server_that_is_ending_is_alive_and_not_ready(store: Store, service: Service) -> None:
    door = client(store, service)
    assert door.get("/ready").status_code == 200
    door.app.state.ending.by = time.monotonic() + 10  # type: ignore[attr-defined]  # an app
    for path in ("/ready", "/v2/health/ready", "/ping"):
        answer = door.get(path)
        assert answer.status_code == 503
        assert "the server is shutting down" in answer.text
    assert door.get("/health").status_code == 200
    assert door.post("/v1/predict", json={"text": "a"}).status_code == 200


def test_the_engine_lives_as_long_as_the_server(store: Store, service: Service) -> None:
    told: list[str] = []

    class Engine_(Engine):  # noqa: N801
        def start(self) -> None:
            told.append("start")

        def stop(self) -> None:
            told.append(f"stop, off the event loop: {threading.current_thread().name[:5] == 'AnyIO'}")

    app = create_app(Engine_(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())
    with TestClient(app):
        assert told == ["start"]
    assert told == ["start", "stop, off the event loop: True"]


@dataclass
class Running:
    process: subprocess.Popen[str]
    url: str
    errors: Path

    def post(self, text: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.post(f"{self.url}/v1/predict", json={"text": text})

    def said(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.read_text().splitlines()]

    def until(self, event: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not any(event in line["event"] for line in self.lines()):
            assert time.monotonic() < end, f"it never said {event!r}"
            time.sleep(0.01)


def ready(url: str, seconds: float = 60) -> None:
    """Until the server has its model; it is alive long before."""
    end = time.monotonic() + seconds
    with httpx.Client(base_url=url, trust_env=False, timeout=seconds) as client:
        assert client.get("/health").json() == {"status": "alive"}
        while client.get("/ready").status_code != 200:
            assert time.monotonic() < end, client.get("/ready").text
            time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    begun: list[subprocess.Popen[str]] = []

    def start(stops: str = "well", drain_seconds: float = 20) -> Running:
        command = [sys.executable, "-m", "tests.serving.held_server", tmp_path / "store.db"]
        command += [stops, str(drain_seconds)]
        with (tmp_path / "stderr").open("w") as errors:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        begun.append(process)
        killer = threading.Timer(60, process.kill)  # a test that waits for ever fails instead
        killer.daemon = True
        killer.start()
        server = Running(process, "http://127.0.0.1:", tmp_path / "stderr")
        server.url += server.said()
        ready(server.url)
        return server

    yield start
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_what_was_begun_is_answered_and_stored(start: Any, tmp_path: Path, by: signal.Signals) -> None:
    server: Running = start()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(server.post, "hold")
        assert server.said() == "reading"
        server.process.send_signal(by)
        server.until("Shutting down")
        with pytest.raises(httpx.ConnectError, match="refused"):
            server.post("too late")
        server.process.stdin.write("\n")  # type: ignore[union-attr]  # a pipe
        server.process.stdin.flush()  # type: ignore[union-attr]
        [given] = asked.result(30).json()["predictions"]
    assert server.process.wait(20) == 0
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    assert store.answers.get(given["prediction_id"]) is not None
    store.close()


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(start: Any) -> None:
    server: Running = start()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(server.post, "hold")
        assert server.said() == "reading"
        server.process.send_signal(signal.SIGTERM)
        server.until("Shutting down")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 128 + signal.SIGTERM
        assert isinstance(asked.exception(10), httpx.HTTPError)


@pytest.mark.slow
def test_an_engine_that_does_not_end_holds_nothing_up_and_is_said(start: Any) -> None:
    server: Running = start("never", drain_seconds=2)
    assert server.post("a").status_code == 200
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 1
    assert time.monotonic() - begun < 10  # drain_seconds is 2
    said = [line["event"] for line in server.lines() if line["level"] == "error"]
    assert said == ["the store did not take everything in time: raise serving.drain_seconds"]


@pytest.mark.slow
def test_a_request_that_does_not_end_is_told_why_and_holds_nothing_up(start: Any) -> None:
    server: Running = start(drain_seconds=2)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(server.post, "hold")
        assert server.said() == "reading"
        server.process.send_signal(signal.SIGTERM)
        answer = asked.result(20)
    assert (answer.status_code, answer.json()["error"]) == (503, "the server is shutting down")
    assert server.process.wait(10) == 1  # the model's thread still hangs; the process does not


@pytest.mark.slow
def test_everloop_serve_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    """Loopback, JSON lines, exit code 0."""
    session, rows = make_session(tmp_path / "shop"), job(days=1)
    first_model(session, rows.train, rows.evaluation, NOW)
    token = session.store.keys.add("shop", ["predict"], NOW)
    session.store.close()
    command = [sys.executable, "-m", "everloop", "serve", "-w", tmp_path / "shop", "--port", "0"]
    errors = tmp_path / "stderr"  # a file: nobody reads a pipe while the server writes to it
    with (
        errors.open("w") as told,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True) as process,
    ):
        assert process.stdout
        first = process.stdout.readline()
        assert first.startswith("serving on http://127.0.0.1:")
        url = first.split()[2].rstrip(",")
        ready(url)
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            headers = {"authorization": f"Bearer {token}"}
            asked = {"text": "where is my card?"}
            assert client.post("/v1/predict", json=asked).status_code == 401
            found = client.post("/v1/predict", json=asked, headers=headers)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    err = errors.read_text()
    assert found.status_code == 200
    lines = [json.loads(line) for line in err.splitlines()]
    asked_for = [(x["route"], x["status"], x["key"]) for x in lines if x["event"] == "request"]
    assert [x for x in asked_for if x[0] == "/v1/predict"] == [
        ("/v1/predict", 401, ""),
        ("/v1/predict", 200, "shop"),
    ]
    assert token not in err
