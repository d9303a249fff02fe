"""Engines behind URLs, each a real process: what goes wrong there is one clear error here."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import openai
import pytest

from core.errors import EngineError, ParamsError
from core.models.causal.examples import Examples
from core.models.causal.model import CausalModel
from core.models.classifier.encoder import load_encoder
from core.records.answers import GenerationDetail, Prediction
from core.records.writing import Prompted
from core.state import Champion
from core.store import Store
from core.tasks import Classification, Generation
from serving.engine import Engine
from serving.engines.chosen import choose
from serving.engines.deployments import weights_name
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.core.models.tiny import save_tiny_encoder
from tests.serving.engines.stubs import chosen, mode, seen, served_model, stub
from tests.serving.real_server import now, running, wait_until

ASK: Any = [{"role": "user", "content": "pay my card"}]
SAID = "turn the lights off"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    encoder = load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)
    return served_model(tmp_path_factory.mktemp("tiny"), encoder)


@pytest.fixture(scope="module")
def started(model: CausalModel) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(stub(weights_name(model.lm.sha256))) for _ in range(2)]


@pytest.fixture
def stubs(started: list[str], model: CausalModel) -> list[str]:
    for url in started:
        mode(url, "ok", model=weights_name(model.lm.sha256))
    return started


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", task=Generation())
    store.state.write(Champion("1"))
    yield store
    store.close()


@pytest.fixture
def client(stubs: list[str], model: CausalModel, store: Store) -> Iterator[openai.OpenAI]:
    with chosen(stubs, {"1": model}) as made:
        service = Service(store, made.load, max_text=1000)
        with (
            running(service, store, concurrency=made.concurrency) as address,
            openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
        ):
            yield client


def detail(store: Store, answer_id: str) -> tuple[Prediction, GenerationDetail]:
    found = store.answers.get(answer_id)
    assert found is not None
    assert isinstance(found.detail, GenerationDetail)
    return found, found.detail


@pytest.mark.parametrize("stream", [pytest.param(True, id="stream"), pytest.param(False, id="whole")])
def test_an_engine_writes_and_the_gateway_stores(
    client: openai.OpenAI, store: Store, stubs: list[str], stream: bool
) -> None:
    before = [len(seen(url)) for url in stubs]
    answer: Any = client.chat.completions.create(
        model="everloop", messages=ASK, stream=cast(Any, stream), seed=3, stop=["x"], max_tokens=9
    )
    if stream:
        chunks = list(answer)
        text, answer_id = "".join(c.choices[0].delta.content or "" for c in chunks), chunks[0].id
        assert {c.id for c in chunks} == {answer_id}
    else:
        text, answer_id = answer.choices[0].message.content, answer.id
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 4)
    found, said = detail(store, answer_id)
    assert text == found.output == SAID
    assert (said.prompt_tokens, said.completion_tokens, said.finish_reason) == (5, 4, "stop")
    assert (said.mean_logprob, said.min_logprob) == (pytest.approx(-0.25), pytest.approx(-0.4))
    assert said.first_token_ms is not None
    assert found.model_version == "1"
    (asked,) = [each for url, n in zip(stubs, before, strict=True) for each in seen(url)[n:]]
    assert (asked["seed"], asked["stop"], asked["max_tokens"]) == (3, ["x"], 9)
    assert asked["messages"][-1] == ASK[0]


def test_examples_stand_before_a_request(stubs: list[str], model: CausalModel) -> None:
    asked = ["pay my card", "rain"]
    with_examples = replace(
        model, examples=Examples(list(asked), ["paid", "wet"], model.embed(asked)), shots=1
    )
    with chosen(stubs[:1], {"1": with_examples}) as made:
        answer = made.load("1").answer(["rain"])[0]
    assert answer.output == SAID
    turns = [{"role": "user", "content": "rain"}, {"role": "assistant", "content": "wet"}]
    assert seen(stubs[0])[-1]["messages"] == [*turns, {"role": "user", "content": "rain"}]


def test_calls_of_tools_come_through(client: openai.OpenAI, store: Store, stubs: list[str]) -> None:
    for url in stubs:
        mode(url, "tools")
    tools: Any = [{"type": "function", "function": {"name": "off", "parameters": {}}}]
    answer = client.chat.completions.create(model="everloop", messages=ASK, tools=tools)
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert cast(Any, calls[0]).function.arguments == '{"room": "hall"}'
    assert answer.choices[0].finish_reason == "tool_calls"
    found, _ = detail(store, answer.id)
    assert found.output == '{"name": "off", "arguments": {"room": "hall"}}'


@pytest.mark.parametrize("fault", ["500", "503", "nonsense", "garbled", "other"])
def test_another_engine_is_asked_before_the_first_token(
    client: openai.OpenAI, store: Store, stubs: list[str], fault: str
) -> None:
    mode(stubs[0], fault)
    for _ in range(4):
        answer = client.chat.completions.create(model="everloop", messages=ASK)
        assert detail(store, answer.id)[0].output == SAID


@pytest.mark.parametrize("stream", [pytest.param(True, id="stream"), pytest.param(False, id="whole")])
@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("500", 502, "the engine gives no answer.*told to say 500"),
        ("503", 503, "every engine is busy"),
        ("400", 400, "the engine refuses this request.*told to say 400"),
        ("nonsense", 502, "the engine gives no answer.*middle of an answer"),
        ("garbled", 502, "nothing that OpenAI's protocol has"),
        ("other", 502, "answers as another model.*somebody-else"),
    ],
)
def test_what_no_engine_can_answer_is_one_clear_error(
    client: openai.OpenAI,
    store: Store,
    stubs: list[str],
    fault: str,
    status: int,
    words: str,
    stream: bool,
) -> None:
    for url in stubs:
        mode(url, fault)
    with pytest.raises(openai.APIStatusError, match=words) as refused:
        client.chat.completions.create(model="everloop", messages=ASK, stream=cast(Any, stream))
    assert refused.value.status_code == status
    assert "127.0.0.1" not in str(refused.value)
    if fault == "503":
        assert refused.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("fault", ["dies", "half"])
def test_what_a_caller_got_of_an_answer_that_broke_off_is_stored(
    client: openai.OpenAI, store: Store, stubs: list[str], fault: str
) -> None:
    for url in stubs:
        mode(url, fault)
    before = sum(len(seen(url)) for url in stubs)
    chunks = []
    stream = client.chat.completions.create(model="everloop", messages=ASK, stream=True)
    with pytest.raises(openai.APIError, match="broke off in the middle of an answer"):
        chunks.extend(stream)
    heard = "".join(c.choices[0].delta.content or "" for c in chunks)
    found, said = detail(store, chunks[0].id)
    assert heard == found.output == ("turn the" if fault == "dies" else "turn")
    assert said.finish_reason == "error"
    assert sum(len(seen(url)) for url in stubs) == before + 1


def test_half_a_call_of_a_tool_is_an_error_and_stored(
    client: openai.OpenAI, store: Store, stubs: list[str]
) -> None:
    for url in stubs:
        mode(url, "half a call")
    asked: Any = {"model": "everloop", "messages": ASK}
    asked["tools"] = [{"type": "function", "function": {"name": "off", "parameters": {}}}]
    chunks: list[Any] = []
    with pytest.raises(openai.APIError, match="broke off in the middle of an answer"):
        chunks.extend(client.chat.completions.create(**asked, stream=True))
    assert [c.choices[0].delta.tool_calls[0].function.arguments for c in chunks] == ['{"room"']
    found, said = detail(store, chunks[0].id)
    assert found.output == '{"name": "off", "arguments": "{\\"room\\""}'
    assert said.finish_reason == "error"


def test_a_stream_that_its_caller_cuts_is_stored(
    client: openai.OpenAI, store: Store, stubs: list[str]
) -> None:
    for url in stubs:
        mode(url, "slow")
    stream = client.chat.completions.create(model="everloop", messages=ASK, stream=True)
    first = next(iter(stream))
    stream.close()
    wait_until(lambda: store.answers.get(first.id) is not None)
    found, said = detail(store, first.id)
    assert said.finish_reason == "cancelled"
    assert SAID.startswith(found.output)
    assert found.output not in ("", SAID)


def test_load_is_spread_and_an_engine_with_other_weights_gets_nothing(
    stubs: list[str], model: CausalModel
) -> None:
    with chosen(stubs, {"1": model}) as made:
        for url in stubs:
            mode(url, "slow")
        before = [len(seen(url)) for url in stubs]
        asked = [Prompted("pay")]
        loaded = made.load("1")
        threads = [threading.Thread(target=loaded.answer, args=(asked,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [len(seen(url)) - n for url, n in zip(stubs, before, strict=True)] == [3, 3]
        mode(stubs[0], "ok", model="other-weights")
        mode(stubs[1], "ok")
        assert made.replicas is not None
        first = made.replicas._all[0]
        wait_until(lambda: first.models == {"other-weights"})
        for _ in range(4):
            loaded.answer(asked)
        assert len(seen(stubs[0])) - before[0] == 3
        mode(stubs[1], "down")
        wait_until(lambda: bool(made.replicas and not made.replicas._all[1].models))
        with pytest.raises(
            EngineError, match=r"(?s)no engine has the weights.*serves other-weights.*500"
        ):
            loaded.answer(asked)


def test_a_classifier_takes_no_engine() -> None:
    with pytest.raises(ParamsError, match="a classifier answers by itself"):
        choose(Serving(engine=["http://localhost:1"]), Classification(), lambda _: cast(Any, None))


@pytest.mark.parametrize("wrong", [["localhost:1"], []], ids=["no-scheme", "none"])
def test_an_engine_is_local_or_urls(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match="local, or URLs such as"):
        Serving(engine=wrong)


def test_an_engine_that_goes_down_later_is_named(
    stubs: list[str], model: CausalModel, store: Store
) -> None:
    with chosen(stubs, {"1": model}) as made:
        service = Service(store, made.load, max_text=1000)
        engine = Engine(service, now, Metrics(), concurrency=made.concurrency)
        engine.start()
        try:
            wait_until(lambda: engine.state().ready)
            assert engine.state().faults == ()
            mode(stubs[0], "down")
            wait_until(lambda: engine.state().faults != ())
            assert re.search(f"engine {stubs[0]}: .*500", engine.state().faults[0])
            assert engine.state().ready
            mode(stubs[1], "down")
            wait_until(lambda: not engine.state().ready)
            assert len(engine.state().faults) == 2
        finally:
            engine.stop()
