"""Redeploying on engines that run: new weights get to them, are checked, and only then asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import EngineError
from core.models.causal.examples import Examples
from core.models.causal.model import CausalModel
from core.state import Champion
from core.store import Store
from core.tasks import Generation
from serving.engines.chosen import Chosen
from serving.engines.deployments import weights_name
from serving.service import Service
from tests.fake_models import NOW, roll_out
from tests.serving.engines.stub_engine import WORDS
from tests.serving.engines.stubs import adapted_versions, chosen, mode, seen, served, served_model, stub
from tests.serving.real_server import wait_until

SAID = "".join(WORDS)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CausalModel]:
    """Version 1, four LoRAs on it, and version 6, which was trained whole."""
    place = tmp_path_factory.mktemp("models")
    adapted = adapted_versions(place, 5)
    return adapted | {"6": served_model(place / "6", adapted["1"].encoder, 6, signed=True)}


def name(model: CausalModel) -> str:
    return weights_name(model.lm.sha256)


@pytest.fixture
def url(models: dict[str, CausalModel]) -> Iterator[str]:
    with stub(name(models["1"])) as url:
        mode(url, "ok", signed=True)
        yield url


def says(made: Chosen, version: str) -> str:
    return made.load(version).answer(["pay"])[0].output


def answers(made: Chosen, version: str) -> bool:
    try:
        return bool(says(made, version))
    except EngineError:
        return False


def test_an_adapter_is_loaded_checked_and_asked(models: dict[str, CausalModel], url: str) -> None:
    with chosen([url], models) as made:
        assert says(made, "1") == f"{SAID} {name(models['1'])}"
        with pytest.raises(EngineError, match="no engine has the weights of this version"):
            says(made, "2")
        wait_until(lambda: answers(made, "2"))
        assert says(made, "2") == f"{SAID} {name(models['2'])}"
    assert [one["model"] for one in seen(url)] == [name(models[v]) for v in "122"]


def test_old_adapters_are_unloaded_but_for_the_one_that_a_rollback_needs(
    models: dict[str, CausalModel], url: str
) -> None:
    with chosen([url], models) as made:
        for version in "2345":
            wait_until(lambda v=version: answers(made, v))  # type: ignore[misc]
            says(made, "1")  # the champion goes on meanwhile
        wait_until(lambda: name(models["2"]) not in served(url))
        assert served(url) == {name(models[v]) for v in "145"}
        assert says(made, "4").endswith(name(models["4"]))
        wait_until(lambda: answers(made, "2"))


def test_examples_are_routing_only(models: dict[str, CausalModel], url: str) -> None:
    texts = ["pay my card", "rain"]
    first = models["1"]
    taught = replace(first, examples=Examples(texts, ["paid", "wet"], first.embed(texts)), shots=1)
    with chosen([url], {"1": first, "2": taught}) as made:
        before = len(seen(url))
        assert says(made, "2") == says(made, "1")
        assert served(url) == {name(first)}
    with_examples, without = (one["messages"] for one in seen(url)[before:])
    assert [m["content"] for m in with_examples] == ["pay my card", "paid", "pay"]
    assert [m["content"] for m in without] == ["pay"]


def test_a_server_that_comes_back_is_brought_up_to_date_before_it_is_asked(
    models: dict[str, CausalModel], url: str
) -> None:
    with stub(name(models["1"])) as other:
        mode(other, "ok", signed=True)
        with chosen([url, other], models) as made:
            replicas = made.replicas
            assert replicas is not None
            adapted = name(models["2"])
            wait_until(lambda: answers(made, "2") and all(adapted in one.fit for one in replicas._all))
            mode(other, "down")
            wait_until(lambda: not replicas._all[1].fit)
            assert all(says(made, "2").endswith(adapted) for _ in range(4))
            mode(other, "ok", adapters={})  # as one that was started again
            wait_until(lambda: adapted in replicas._all[1].fit)
            assert adapted in served(other)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("wrong", "does not answer as the model of the registry.*'paint it"),
        ("refuses", "does not load the adapter.*no such adapter here"),
        ("other", "answers as another model"),
        ("garbled", "nothing that OpenAI's protocol has"),
        ("503", "every engine is busy"),
    ],
)
def test_a_server_that_fails_the_check_is_not_asked(
    models: dict[str, CausalModel], url: str, fault: str, why: str
) -> None:
    with chosen([url], models) as made:
        mode(url, fault)
        replicas = made.replicas
        assert replicas is not None
        assert not answers(made, "2")
        wait_until(lambda: bool(replicas._all[0].unfit()))
        before = len(seen(url))
        with pytest.raises(EngineError, match=f"(?s)no engine has the weights.*{why}"):
            says(made, "2")
        assert len(seen(url)) == before


def test_an_adapter_of_other_weights_goes_to_no_server(models: dict[str, CausalModel]) -> None:
    with stub(name(models["6"])) as url:
        mode(url, "ok", signed=True)
        with chosen([url], {"6": models["6"], "2": models["2"]}) as made:
            with pytest.raises(EngineError, match=f"expected: one that serves {name(models['2'])}"):
                says(made, "2")
            assert served(url) == {name(models["6"])}


def test_a_candidate_whose_weights_no_engine_has_leaves_the_champion_alone(
    models: dict[str, CausalModel], url: str, tmp_path: Path
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", task=Generation())
    store.state.write(Champion("1"))
    roll_out(store, share=0.5, candidate="6")
    with chosen([url], models) as made:
        switch = Service(store, made.load, max_text=100).switch
        switch.warm = True
        now = switch.turn(NOW)
        assert (now.champion.version, now.candidate) == ("1", None)
        assert switch.fault.startswith("version 6 waits: no engine has the weights")
        mode(url, "ok", adapters={name(models["6"]): "somewhere"})
        wait_until(lambda: switch.turn(NOW).candidate is not None)
        assert not switch.fault
    store.close()
