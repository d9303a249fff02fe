"""Swaps under load: no answer fails, breaks off, or is logged under a version that did not write it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import httpx
import pytest

from core.models.causal.examples import Examples
from core.models.causal.model import CausalModel
from core.models.classifier.encoder import load_encoder
from core.state import Champion
from core.store import Store
from core.tasks import Generation
from serving.engines.deployments import weights_name
from serving.service import Service
from tests.core.models.tiny import save_tiny_encoder
from tests.fake_models import roll_out
from tests.serving.engines.callers import Callers
from tests.serving.engines.stubs import adapted_model, chosen, mode, served_model, stub
from tests.serving.real_server import running, wait_until

SWAPS = 20
ASK = {"model": "everloop", "messages": [{"role": "user", "content": "pay my card"}]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CausalModel]:
    """Version 1, three LoRAs on it, and version 5 with the weights of 1 and examples."""
    place = tmp_path_factory.mktemp("models")
    encoder = load_encoder(save_tiny_encoder(place / "encoder"), 64)
    first = served_model(place / "1", encoder, signed=True)
    adapted = {str(i): adapted_model(place / str(i), first, i, signed=True) for i in range(2, 5)}
    texts = ["pay my card", "rain"]
    taught = replace(first, examples=Examples(texts, ["paid", "wet"], first.embed(texts)), shots=1)
    return {"1": first, **adapted, "5": taught}


@pytest.fixture
def urls(models: dict[str, CausalModel]) -> Iterator[list[str]]:
    with ExitStack() as stack:
        found = [stack.enter_context(stub(weights_name(models["1"].lm.sha256))) for _ in range(2)]
        for url in found:
            mode(url, "ok", signed=True, first=0.01, each=0.005)
        yield found


def serve_next(store: Store, address: str, version: str, before: str) -> None:
    """In a canary first, then alone."""
    rollout = roll_out(store, candidate=version)
    wait_until(lambda: f"everloop-{version}" in names(address), 60)
    store.state.write(Champion(version))
    store.decisions.put_rollout(replace(rollout, stage="promoted"))
    wait_until(lambda: f"everloop-{before}" not in names(address), 60)


def names(address: str) -> set[str]:
    return {one["id"] for one in httpx.get(f"{address}/v1/models", timeout=60).json()["data"]}


def test_swaps_under_load(models: dict[str, CausalModel], urls: list[str], tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", task=Generation())
    store.state.write(Champion("1"))
    with chosen(urls, models) as made:
        service = Service(store, made.load, max_text=1000)
        with running(service, store, concurrency=made.concurrency, poll=0.05) as address:
            wait_until(lambda: httpx.get(f"{address}/ready").status_code == 200, 60)
            with Callers(address, ASK).asking(4) as callers:
                turns = list(islice(_turns(list(models)), SWAPS + 1))
                for before, version in pairwise(turns):
                    asked = len(callers.answers)
                    serve_next(store, address, version, before)
                    wait_until(lambda a=asked: len(callers.answers) > a + 4 or callers.failures, 60)  # type: ignore[misc]
    assert callers.failures == []
    assert {one.version for one in callers.answers} == set(models)
    for one in callers.answers:
        found = store.answers.get(one.answer_id)
        assert found is not None
        assert (found.model_version, found.output) == (one.version, one.text)
        assert one.text.endswith(weights_name(models[one.version].lm.sha256))
        assert one.finish == "stop"
    assert (
        store.answers.count() == len({one.answer_id for one in callers.answers}) == len(callers.answers)
    )
    store.close()


def _turns(versions: list[str]) -> Iterator[str]:
    while True:
        yield from versions
