"""The teacher behind a URL: a small server of OpenAI's protocol. One on this machine is in
tests/everloop/test_generation_loop.py."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from core.errors import EngineError, ModelError
from flows.teachers import teacher

SESSION: Any = None  # nothing of a workspace is asked


class Server(BaseHTTPRequestHandler):
    models = ("big",)

    def do_GET(self) -> None:
        self._say({"data": [{"id": name} for name in self.models]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = asked["messages"][-1]["content"]
        choice = {"message": {"content": f"{asked['model']}: {text}"}, "finish_reason": "stop"}
        self._say({"choices": [{**choice, "finish_reason": "length" if text == "long" else "stop"}]})

    def _say(self, body: Any) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_answers_and_a_cut_answer_is_none(url: str) -> None:
    messages = [{"role": "system", "content": "brief"}, {"role": "user", "content": "hi"}]
    for name in (url, f"{url}/v1", f"{url}#big"):
        assert teacher(SESSION, name).write(["a", "long", messages]) == ["big: a", "", "big: hi"]
    assert teacher(SESSION, url).model is None


def test_of_several_models_one_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "models", ("big", "small"))
    with pytest.raises(ModelError, match=r"(?s)teacher is not named.*serves big, small.*#MODEL"):
        teacher(SESSION, url).write(["a"])
    assert teacher(SESSION, f"{url}#small").write(["a"]) == ["small: a"]


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(
        EngineError, match=r"(?s)does not answer.*http://127.0.0.1:9 \(training.teacher\)"
    ):
        teacher(SESSION, "http://127.0.0.1:9").write(["a"])
