"""Input that cannot be answered: each whole error, as a client of OpenAI's protocol reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from core.models.causal.model import CausalModel
from core.models.classifier.encoder import load_encoder
from core.state import Champion
from core.store import Store
from core.tasks import Generation
from serving.app import create_app
from serving.engine import Engine
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import base, save_tiny_causal, tiny_causal
from tests.fake_models import Shelf
from tests.serving.real_server import now

PAY = {"messages": [{"role": "user", "content": "pay"}]}
SCHEMA = {"type": "object", "properties": {"name": {"enum": ["on", "off"]}}, "required": ["name"]}
TASK = Generation(judge="schema", json_schema=SCHEMA)


def form(schema: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def tool(parameters: Any) -> Any:
    return [{"type": "function", "function": {"name": "off", "parameters": parameters}}]


CALLED = {"id": "c", "type": "function", "function": {"name": "off", "arguments": '{"room"'}}
FAULTS: list[tuple[str, dict[str, Any], str | None, str]] = [
    ("no message", {"messages": []}, "messages",
     "no message to answer; at messages; got []; expected a text, or messages"),
    ("a role", {"messages": [{"role": "wizard", "content": "x"}]}, "messages[0]",
     "a role that nobody knows; at messages[0]; got 'wizard'; "
     "expected system, developer, user, assistant, tool"),
    ("too long", {"messages": [{"role": "user", "content": "long " * 40}]}, None,
     "the prompt is longer than the model's context; got 218 tokens; expected at most 127, so that one "
     "is left to answer with; shorten the messages: nothing is cut without a word"),
    ("no schema", {"response_format": form({"type": "no"})}, "response_format",
     "this value cannot be taken; at response_format; got {'type': 'json_schema', 'json_schema': "
     "{'name': 'x', 'schema': {'type': 'no'}}}; expected a valid JSON Schema; $.type: 'no' is not valid under any "
     "of the given schemas; see /docs for the shape of this call"),
    ("a keyword", {"response_format": form({"not": {"type": "string"}})}, "response_format",
     "the local engine cannot hold an answer to this JSON Schema; at response_format; got Unimplemented "
     'keys: ["not"]; expected keywords that llguidance knows; leave the keyword out, or set '
     "serving.engine to the URL of an engine that can"),
    ("no template", {"tools": tool({})}, "tools",
     "the model's chat template knows no tools; at tools; expected a model that was trained to call "
     "tools; leave them out, name the functions in a message, or take such a model"),
    ("parameters", {"tools": tool([])}, "tools",
     "this value cannot be taken; at tools; got [{'type': 'function', 'function': {'name': 'off', "
     "'parameters': list}}]; expected parameters as a JSON Schema at 0; see /docs for the shape of this "
     "call"),
    ("no such tool", {"tools": tool({}), "tool_choice": {"type": "function", "function": {"name": "on"}}},
     "tool_choice", "tool_choice names no tool; at tool_choice; got 'on'; expected 'off'"),
    ("half a call", {"messages": [*PAY["messages"], {"role": "assistant", "tool_calls": [CALLED]}]},
     "messages[1].tool_calls", "a call of a tool that cannot be read; at messages[1].tool_calls; got "
     "{'id': 'c', 'type': 'function', 'function': {'name': 'off', 'arguments': '{\"r...; expected "
     '{"type": "function", "function": {"name": ..., "arguments": a text of JSON}}'),
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[CausalModel]:
    encoder = load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)
    silent = save_tiny_causal(tmp_path_factory.mktemp("silent"), 1, template=None)
    made = [tiny_causal(tmp_path_factory.mktemp("tiny"), encoder), base(silent, encoder)]
    return [replace(each, max_new_tokens=12) for each in made]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", task=TASK)
    yield store
    store.close()


def client(store: Store, models: list[CausalModel], version: str) -> TestClient:
    shelf = Shelf()
    shelf.models.update(cast(Any, dict(zip("12", models, strict=True))))
    store.state.write(Champion(version))
    engine = Engine(Service(store, shelf.load, max_text=1000), now, Metrics())
    return TestClient(create_app(engine, store, now, Serving()), base_url="http://localhost")


def test_each_is_one_whole_error(store: Store, models: list[CausalModel]) -> None:
    asked = client(store, models, "1")
    for name, more, param, message in FAULTS:
        answer = asked.post("/v1/chat/completions", json={"model": "everloop", **PAY, **more})
        code = "context_length_exceeded" if name == "too long" else None
        told = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        assert (name, answer.status_code, answer.json()) == (name, 400, {"error": told})
    assert store.answers.count() == 0


def test_a_model_without_a_chat_template_answers_nothing(
    store: Store, models: list[CausalModel]
) -> None:
    answer = client(store, models, "2").post("/v1/chat/completions", json={"model": "everloop", **PAY})
    message = (
        "the tokenizer has no chat template; expected a model that was trained on chats, or a "
        "chat_template.jinja in its folder; take the model's Instruct version"
    )
    told = {"message": message, "type": "server_error", "param": None, "code": None}
    assert (answer.status_code, answer.json()) == (503, {"error": told})


def test_a_demonstration_that_breaks_the_schema_is_not_taken(
    store: Store, models: list[CausalModel]
) -> None:
    asked = client(store, models, "1")
    said = asked.post("/v1/chat/completions", json={"model": "everloop", **PAY}).json()
    word = {"prediction_id": said["id"], "kind": "demonstration", "value": '{"name": "away"}'}
    refused = asked.post("/v1/feedback", json=word)
    assert (refused.status_code, refused.json()) == (
        422,
        {
            "error": "this demonstration cannot be taken: the answer does not keep to task.json_schema: "
            "$.name: 'away' is not one of ['on', 'off']",
            "where": "value",
            "got": """'{"name": "away"}'""",
            "expected": "",
            "do": "see /docs for the shape of this call",
        },
    )
    assert asked.post("/v1/feedback", json={**word, "value": '{"name": "off"}'}).status_code == 200
