"""Versions that come one after another while callers ask."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice, pairwise
from typing import Any

import httpx

from core.models.causal.model import CausalModel
from core.state import Champion
from core.store import Store
from serving.engines.chosen import Chosen
from serving.service import Service
from tests.fake_models import roll_out
from tests.serving.engines.callers import Callers
from tests.serving.real_server import running, wait_until

SWAPS = 20
ASK = {"model": "everloop", "messages": [{"role": "user", "content": "turn off the light"}]}
SECONDS = 120.0  # that anything may take


def swap_under_load(
    store: Store, made: Chosen, models: dict[str, CausalModel], body: dict[str, Any] = ASK
) -> Callers:
    """What callers heard of 20 swaps. The first of the versions serves already."""
    store.state.write(Champion(next(iter(models))))
    service = Service(store, made.load, max_text=1000)
    with running(service, store, concurrency=made.concurrency, poll=0.05) as address:
        wait_until(lambda: httpx.get(f"{address}/ready").status_code == 200, SECONDS)
        with Callers(address, body).asking(4) as callers:
            for before, version in pairwise(islice(cycle(models), SWAPS + 1)):
                asked = len(callers.answers)
                _serve_next(store, address, version, before)
                wait_until(lambda a=asked: len(callers.answers) > a + 4 or callers.failures, SECONDS)  # type: ignore[misc]
    return callers


def _serve_next(store: Store, address: str, version: str, before: str) -> None:
    """In a canary first, then alone."""
    rollout = roll_out(store, candidate=version)
    wait_until(lambda: f"everloop-{version}" in _names(address), SECONDS)
    store.state.write(Champion(version))
    store.decisions.put_rollout(replace(rollout, stage="promoted"))
    wait_until(lambda: f"everloop-{before}" not in _names(address), SECONDS)


def _names(address: str) -> set[str]:
    return {one["id"] for one in httpx.get(f"{address}/v1/models", timeout=60).json()["data"]}


def check_swaps(store: Store, callers: Callers, says: dict[str, str]) -> None:
    """`says`: how an answer of each version ends."""
    assert callers.failures == []
    assert {one.version for one in callers.answers} == set(says)
    wrong = [one for one in callers.answers if not one.text.endswith(says[one.version])]
    assert wrong == [], f"{len(wrong)} of {len(callers.answers)}"
    for one in callers.answers:
        found = store.answers.get(one.answer_id)
        assert found is not None
        assert (found.model_version, found.output) == (one.version, one.text)
        assert one.finish == "stop"
    ids = {one.answer_id for one in callers.answers}
    assert store.answers.count() == len(ids) == len(callers.answers)
