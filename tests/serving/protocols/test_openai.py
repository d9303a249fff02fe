"""OpenAI's own client against the server, which answers with a tiny model of random weights."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import openai
import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from core.models.causal.model import CausalModel
from core.models.causal.pen import Pen
from core.models.classifier.encoder import load_encoder
from core.records.answers import GenerationDetail, Prediction
from core.state import Champion
from core.store import Store
from core.tasks import Generation
from serving.app import create_app
from serving.batch import FileClassifier, Job
from serving.engine import Engine
from serving.keys import Guard, Keyring
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from serving.tracing import tracing
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import KNOWS_TOOLS, TEMPLATE, tiny_causal
from tests.fake_models import NOW, Shelf, roll_out
from tests.serving.real_server import now, running, wait_until

OFF: Any = [{"type": "function", "function": {"name": "off", "parameters": {
    "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}}}]  # fmt: skip
BRIEF: Any = [{"role": "user", "content": "x"}]
PAY: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "pay my card"}]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[CausalModel]:
    encoder = load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)
    made = [
        tiny_causal(tmp_path_factory.mktemp(f"tiny{seed}"), encoder, seed, template, context)
        for seed, (template, context) in enumerate(((TEMPLATE, 128), (KNOWS_TOOLS, 512)))
    ]
    return [replace(each, max_new_tokens=12) for each in made]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", task=Generation())
    store.state.write(Champion("1"))
    yield store
    store.close()


@pytest.fixture
def service(store: Store, models: list[CausalModel]) -> Service:
    shelf = Shelf()
    shelf.models.update(cast(Any, {"1": models[0], "2": models[1]}))
    return Service(store, shelf.load, max_text=1000)


@pytest.fixture
def address(service: Service, store: Store) -> Iterator[str]:
    with running(service, store) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def stored(store: Store, answer_id: str) -> tuple[Prediction, GenerationDetail]:
    found = store.answers.get(answer_id)
    assert found is not None
    assert isinstance(found.detail, GenerationDetail)
    return found, found.detail


def test_an_answer_is_stored_with_all_that_was_asked(
    client: openai.OpenAI, store: Store, models: list[CausalModel]
) -> None:
    answer = client.chat.completions.create(
        model="everloop", messages=PAY, user="u1", store=True, metadata={"channel": "chat"}
    )
    found, detail = stored(store, answer.id)
    said = answer.choices[0]
    assert said.message.content == found.output == models[0].answer([PAY])[0].output
    assert (answer.model, found.model_version) == ("everloop-1", "1")
    assert (found.text, detail.messages) == ("pay my card", tuple(PAY))
    assert found.segments == {"channel": "chat"}
    assert found.user_key
    assert said.finish_reason == detail.finish_reason
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == detail.prompt_tokens > 0
    assert answer.usage.completion_tokens == detail.completion_tokens > 0
    assert detail.first_token_ms is not None


def test_a_stream_is_stored_before_its_last_event(client: openai.OpenAI, store: Store) -> None:
    whole = client.chat.completions.create(model="everloop", messages=PAY)
    stream = client.chat.completions.create(
        model="everloop", messages=PAY, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    *pieces, ended, usage = chunks
    assert {c.id for c in chunks} == {chunks[0].id}
    assert {c.model for c in chunks} == {"everloop-1"}
    assert len(pieces) > 1
    assert pieces[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in pieces)
    assert text == whole.choices[0].message.content == stored(store, chunks[0].id)[0].output
    assert ended.choices[0].finish_reason == whole.choices[0].finish_reason
    assert usage.usage == whole.usage


def test_the_asynchronous_client(address: str) -> None:
    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:
            whole, stream = await asyncio.gather(
                client.chat.completions.create(model="everloop", messages=PAY),
                client.chat.completions.create(model="everloop", messages=PAY, stream=True),
            )
            text = "".join([c.choices[0].delta.content or "" async for c in stream])
            return whole.choices[0].message.content or "", text

    whole, text = asyncio.run(ask())
    assert whole == text


def test_a_prompt_is_one_message_of_a_user(client: openai.OpenAI, store: Store) -> None:
    answer = client.completions.create(model="everloop", prompt=["pay", "my card"], logprobs=2)
    assert [c.index for c in answer.choices] == [0, 1]
    assert stored(store, answer.id)[0].text == "pay"
    chat = client.chat.completions.create(
        model="everloop", messages=[{"role": "user", "content": "my card"}]
    )
    assert answer.choices[1].text == chat.choices[0].message.content
    said = answer.choices[0].logprobs
    assert said is not None
    assert said.top_logprobs is not None
    assert {len(best) for best in said.top_logprobs} <= {1, 2}  # two tokens may read the same
    stream = client.completions.create(model="everloop", prompt="pay", stream=True)
    assert "".join(c.choices[0].text for c in stream) == answer.choices[0].text


def test_drawn_answers_repeat_with_their_seed(client: openai.OpenAI, store: Store) -> None:
    def draw(seed: int) -> list[str]:
        answer = client.chat.completions.create(
            model="everloop", messages=PAY, n=3, temperature=1.5, top_p=0.9, seed=seed
        )
        ids = [cast(Any, choice).prediction_id for choice in answer.choices]
        assert ids[0] == answer.id
        assert [stored(store, each)[0].output for each in ids] == [
            c.message.content for c in answer.choices
        ]
        return [c.message.content or "" for c in answer.choices]

    first = draw(7)
    assert len(set(first)) == 3
    assert draw(7) == first
    assert draw(8) != first


def test_an_answer_ends_at_its_stop_and_at_its_length(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="everloop", messages=PAY).choices[0].message.content
    assert whole
    stop = whole[2:4]
    cut = client.chat.completions.create(model="everloop", messages=PAY, stop=[stop])
    expected = whole[: whole.index(stop)]
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == (expected, "stop")
    stream = client.chat.completions.create(model="everloop", messages=PAY, stop=stop, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == expected
    short = client.chat.completions.create(model="everloop", messages=PAY, max_completion_tokens=2)
    assert short.usage is not None
    assert (short.usage.completion_tokens, short.choices[0].finish_reason) == (2, "length")


def test_log_probabilities(client: openai.OpenAI, store: Store) -> None:
    answer = client.chat.completions.create(
        model="everloop", messages=PAY, logprobs=True, top_logprobs=3
    )
    said = answer.choices[0].logprobs
    assert said is not None
    assert said.content is not None
    assert all(len(token.top_logprobs) == 3 for token in said.content)
    assert said.content[0].logprob == pytest.approx(said.content[0].top_logprobs[0].logprob)
    least = stored(store, answer.id)[1].min_logprob
    assert least is not None
    assert min(token.logprob for token in said.content) >= least - 1e-6


class Room(BaseModel):
    n: Literal[1, 2]


def test_the_clients_own_helpers_read_an_answer(client: openai.OpenAI) -> None:
    call: Any = {"model": "everloop", "messages": BRIEF, "max_tokens": 90, "response_format": Room}
    parsed = client.chat.completions.parse(**call).choices[0].message.parsed
    assert parsed is not None
    with client.chat.completions.stream(**call) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == parsed


def test_drawn_answers_stream_side_by_side(client: openai.OpenAI, store: Store) -> None:
    call: Any = {"model": "everloop", "messages": PAY, "n": 2, "temperature": 1.5, "seed": 7}
    whole = client.chat.completions.create(**call, logprobs=True)
    chunks = list(client.chat.completions.create(**call, logprobs=True, stream=True))
    for said in whole.choices:
        mine = [c.choices[0] for c in chunks if c.choices[0].index == said.index]
        assert "".join(c.delta.content or "" for c in mine) == said.message.content
        assert {cast(Any, c).prediction_id for c in mine}.isdisjoint({whole.id})
        assert stored(store, cast(Any, mine[0]).prediction_id)[0].output == said.message.content
        tokens = [t.token for c in mine if c.logprobs for t in c.logprobs.content or ()]
        assert said.logprobs is not None
        assert tokens == [t.token for t in said.logprobs.content or ()]
        assert mine[-1].finish_reason == said.finish_reason


def serve_one_that_knows_tools(client: openai.OpenAI, store: Store) -> None:
    store.state.write(Champion("2"))
    wait_until(lambda: "everloop-2" in [m.id for m in client.models.list()])


ROOM = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}  # fmt: skip
FORMS: Any = [
    pytest.param({"type": "json_schema", "json_schema": {"name": "x", "schema": ROOM}}, id="schema"),
    pytest.param({"type": "json_object"}, id="object"),
]


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_is_held_to_its_form(client: openai.OpenAI, store: Store, form: Any) -> None:
    call: Any = {"model": "everloop", "messages": BRIEF, "response_format": form, "max_tokens": 90}
    answer = client.chat.completions.create(**call)
    said = answer.choices[0]
    stream = client.chat.completions.create(**call, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == said.message.content
    assert stored(store, answer.id)[0].output == said.message.content
    if said.finish_reason == "stop":
        assert json.loads(said.message.content or "").get("n", 1) in (1, 2)
    assert (said.message.content or "").startswith("{")
    assert said.finish_reason == "stop" or form["type"] == "json_object"


@pytest.mark.parametrize(
    "choice", [pytest.param("required", id="required"), pytest.param({"type": "function", "function": {"name": "off"}}, id="named")]
)  # fmt: skip
def test_a_tool_is_called(client: openai.OpenAI, store: Store, choice: Any) -> None:
    serve_one_that_knows_tools(client, store)
    call: Any = {"model": "everloop", "messages": BRIEF, "tools": OFF, "tool_choice": choice}
    call |= {"max_tokens": 400}
    answer = client.chat.completions.create(**call)
    said = answer.choices[0]
    assert (said.finish_reason, said.message.content) == ("tool_calls", None)
    (one,) = cast(Any, said.message.tool_calls)
    assert one.function.name == "off"
    assert json.loads(one.function.arguments)["n"] in (1, 2)
    found = json.loads(stored(store, answer.id)[0].output)
    assert found == {"name": "off", "arguments": json.loads(one.function.arguments)}
    chunks = list(client.chat.completions.create(**call, stream=True))
    (streamed,) = [t for c in chunks for t in c.choices[0].delta.tool_calls or ()]
    assert streamed.function.model_dump() == one.function.model_dump()
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    assert not any(c.choices[0].delta.content for c in chunks)


def test_an_answer_need_not_call_a_tool(client: openai.OpenAI, store: Store) -> None:
    serve_one_that_knows_tools(client, store)
    for more in ({"tools": OFF}, {"tools": OFF, "tool_choice": "none"}):
        answer = client.chat.completions.create(model="everloop", messages=BRIEF, **cast(Any, more))
        said = answer.choices[0].message
        assert said.tool_calls is None
        assert said.content == stored(store, answer.id)[0].output != ""


def test_who_can_be_asked(client: openai.OpenAI, store: Store) -> None:
    assert [m.id for m in client.models.list()] == ["everloop", "everloop-1"]
    roll_out(store, share=0.0)
    assert [m.id for m in client.models.list()] == ["everloop", "everloop-1", "everloop-2"]
    assert client.models.retrieve("everloop-2").id == "everloop-2"
    for stream in (False, True):
        answer: Any = client.chat.completions.create(
            model="everloop-2", messages=PAY, stream=cast(Any, stream)
        )
        one = list(answer)[-1] if stream else answer
        found, _ = stored(store, one.id)
        assert (one.model, found.model_version, found.variant) == ("everloop-2", "2", "canary")
    with pytest.raises(
        openai.NotFoundError, match=r"no such model.*expected everloop, everloop-1"
    ) as no:
        client.chat.completions.create(model="gpt-4o", messages=PAY)
    assert (no.value.code, no.value.param) == ("model_not_found", "model")


def test_feedback_finds_an_answer_by_its_id(client: openai.OpenAI, address: str, store: Store) -> None:
    answer = client.chat.completions.create(model="everloop", messages=PAY)
    body = {"prediction_id": answer.id, "kind": "thumbs", "value": "down"}
    assert httpx.post(f"{address}/v1/feedback", json=body).status_code == 200


WRONG: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("empty", {"messages": []}, "no message to answer", "messages"),
    ("role", {"messages": [{"role": "wizard", "content": "x"}]}, "role that nobody knows", "messages[0]"),
    ("image", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
     "part of a message that is no text", "messages"),
    ("silent", {"messages": [{"role": "system", "content": "x"}]}, "the text is empty", "text"),
    ("field", {"logit_bias": {"5": 1}}, "unknown field", "logit_bias"),
    ("store", {"store": False}, "each answer is stored", "store"),
    ("schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no"}}}},
     "a valid JSON Schema", "response_format"),
    ("tools", {"tools": OFF}, "chat template knows no tools", "tools"),
    ("choice", {"tools": OFF, "tool_choice": {"type": "function", "function": {"name": "on"}}},
     "tool_choice names no tool", "tool_choice"),
    ("parameters", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "no"}}}]},
     "parameters as a valid JSON Schema at 0", "tools"),
    ("keyword", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}},
     "cannot hold an answer to this JSON Schema.*Unimplemented keys", "response_format"),
    ("same", {"n": 2}, "are all the same", "n"),
    ("top", {"top_logprobs": 2}, "needs logprobs", "top_logprobs"),
    ("hot", {"temperature": 3}, "less than or equal to 2", "temperature"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [pytest.param(True, id="stream"), pytest.param(False, id="whole")])
@pytest.mark.parametrize(
    ("more", "fault", "param"), [pytest.param(*rest, id=name) for name, *rest in WRONG]
)
def test_what_cannot_be_done_is_one_clear_error(
    client: openai.OpenAI, more: Any, fault: str, param: str | None, stream: bool
) -> None:
    call = {"model": "everloop", "messages": PAY, "stream": stream} | more
    with pytest.raises(openai.BadRequestError, match=fault) as refused:
        client.chat.completions.create(**call)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


def test_a_prompt_beyond_the_context_harms_nobody_else(address: str, store: Store) -> None:
    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:
            texts = ["pay", "long " * 40, "card", "rain"]
            calls = [
                client.chat.completions.create(
                    model="everloop", messages=[{"role": "user", "content": text}]
                )
                for text in texts
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

    one, fault, *others = asyncio.run(ask())
    assert isinstance(fault, openai.BadRequestError)
    assert fault.code == "context_length_exceeded"
    assert "got 218 tokens" in str(fault)
    assert "at most 127" in str(fault)
    assert all(stored(store, each.id) for each in (one, *others))


def test_a_stream_that_its_caller_cuts_is_stored_as_far_as_it_is(
    address: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = Pen.ends
    monkeypatch.setattr(Pen, "ends", lambda *given: time.sleep(0.02) or ends(*given))
    body = {"model": "everloop", "messages": PAY, "stream": True, "max_tokens": 60}
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body) as answer:
        first = next(line for line in answer.iter_lines() if line.startswith("data:"))
    answer_id = httpx.Response(200, text=first.removeprefix("data: ")).json()["id"]
    wait_until(lambda: store.answers.get(answer_id) is not None)
    found, detail = stored(store, answer_id)
    assert detail.finish_reason == "cancelled"
    assert 0 < detail.completion_tokens < 60
    assert found.output


def test_a_file_gets_a_column_of_answers(service: Service, store: Store, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,pay\n2,my card\n")
    job = Job(tmp_path / "in.csv", tmp_path / "out.jsonl")
    FileClassifier(store, service, 100, tmp_path / "refused.csv").run(job, NOW)
    rows = [json.loads(line) for line in job.out.read_text().splitlines()]
    assert [list(row) for row in rows] == [
        ["id", "text", "answer", "score", "model_version", "variant", "prediction_id"]
    ] * 2
    assert rows[0]["answer"] == stored(store, rows[0]["prediction_id"])[0].output


def test_a_trace_names_the_answer_and_not_what_was_said(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for content in ("", "true"):
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", content)
        kept = InMemorySpanExporter()
        with tracing(kept):
            answer = client.chat.completions.create(model="everloop", messages=PAY)
        spans = {span.name: span for span in kept.get_finished_spans()}
        span, call = spans["chat everloop"], spans["POST /v1/chat/completions"]
        assert span.attributes["gen_ai.response.id"] == answer.id
        assert span.parent.span_id == call.context.span_id
        said.append("pay my card" in str(span.attributes))
    assert said == [False, True]


def test_a_key_is_asked_for_in_openais_way(service: Service, store: Store) -> None:
    token = store.keys.add("shop", ["predict"], NOW)
    keyring = Keyring(store.keys.all)
    app = create_app(Engine(service, now, Metrics()), store, now, Serving())
    guarded = TestClient(Guard(app, keyring), base_url="http://localhost")
    refused = guarded.get("/v1/models")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    said = {"authorization": f"Bearer {token}"}
    assert guarded.get("/v1/models/everloop-1", headers=said).json()["id"] == "everloop-1"
