"""Swaps under load: no answer fails, breaks off, or is logged under a version that did not write it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from core.models.causal.examples import Examples
from core.models.causal.model import CausalModel
from core.store import Store
from core.tasks import Generation
from serving.engines.deployments import weights_name
from tests.serving.engines.stubs import adapted_versions, chosen, mode, stub
from tests.serving.engines.swapping import check_swaps, swap_under_load


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CausalModel]:
    """Version 1, three LoRAs on it, and version 5 with the weights of 1 and examples."""
    place = tmp_path_factory.mktemp("models")
    adapted = adapted_versions(place, 4)
    first = adapted["1"]
    texts = ["pay my card", "rain"]
    taught = replace(first, examples=Examples(texts, ["paid", "wet"], first.embed(texts)), shots=1)
    return adapted | {"5": taught}


@pytest.fixture
def urls(models: dict[str, CausalModel]) -> Iterator[list[str]]:
    with ExitStack() as stack:
        found = [stack.enter_context(stub(weights_name(models["1"].lm.sha256))) for _ in range(2)]
        for url in found:
            mode(url, "ok", signed=True, first=0.01, each=0.005)
        yield found


def test_swaps_under_load(models: dict[str, CausalModel], urls: list[str], tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", task=Generation())
    with chosen(urls, models) as made:
        callers = swap_under_load(store, made, models)
    check_swaps(store, callers, {v: weights_name(m.lm.sha256) for v, m in models.items()})
    store.close()
