"""Stub engines as processes, models that they have the weights of, and the engine that is chosen for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx

from core.models.causal import probes
from core.models.causal.model import CausalModel
from core.models.classifier.encoder import Encoder, load_encoder
from core.records.weights import ReferenceAnswer, ReferenceToken
from core.tasks import Generation
from serving.engines.chosen import Chosen, choose
from serving.engines.deployments import weights_name
from serving.settings import Serving
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal
from tests.serving.engines.stub_engine import WORDS
from tests.serving.real_server import wait_until

PROBE = {"role": "user", "content": "hi"}


def served_model(folder: Path, encoder: Encoder, seed: int = 0, *, signed: bool = False) -> CausalModel:
    """A model saved in a folder, with the probes that a stub passes."""
    made = replace(tiny_causal(folder / "made", encoder, seed), max_new_tokens=12)
    words = [*WORDS, f" {weights_name(made.lm.sha256)}"] if signed else WORDS
    steps = tuple(ReferenceToken(word, -0.1 * (at + 1), 2.0) for at, word in enumerate(words))
    probes.save([ReferenceAnswer((PROBE,), steps)] * 2, made.lm.folder, made.lm.sha256)
    made.save(folder)
    return CausalModel.load(folder)


def adapted_model(folder: Path, base: CausalModel, seed: int, *, signed: bool = False) -> CausalModel:
    """The same as a LoRA on another model; the file of the adapter itself no stub reads."""
    served_model(folder, base.encoder, seed, signed=signed)
    (folder / "generator" / "adapter").mkdir()
    about = {"name": "base", "sha256": base.lm.sha256}
    (folder / "generator" / "adapter" / "base.json").write_text(json.dumps(about))
    return CausalModel.load(folder)


def adapted_versions(place: Path, last: int) -> dict[str, CausalModel]:
    """Version 1, and the LoRAs on it up to the last version."""
    encoder = load_encoder(save_tiny_encoder(place / "encoder"), 64)
    first = served_model(place / "1", encoder, signed=True)
    loras = (adapted_model(place / str(i), first, i, signed=True) for i in range(2, last + 1))
    return {str(i): model for i, model in enumerate((first, *loras), 1)}


@contextmanager
def stub(name: str, port: int = 0) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.serving.engines.stub_engine", name, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def mode(url: str, name: str, **more: Any) -> None:
    httpx.put(f"{url}/mode", json={"mode": name} | more).raise_for_status()


def seen(url: str) -> list[Any]:
    """What it was asked, less the probes."""
    asked = cast(list[Any], httpx.get(f"{url}/seen").json())
    return [one for one in asked if one["messages"] != [PROBE]]


def served(url: str) -> set[str]:
    return {one["id"] for one in httpx.get(f"{url}/v1/models").json()["data"]}


@contextmanager
def chosen(
    urls: list[str], models: dict[str, CausalModel], timeout_ms: float = 20_000, seconds: float = 10
) -> Iterator[Chosen]:
    """What is chosen for these URLs, once each server is fit for the first version."""
    made = choose(Serving(engine=urls, timeout_ms=timeout_ms), Generation(), models.__getitem__)
    assert made.replicas is not None
    replicas, name = made.replicas, weights_name(next(iter(models.values())).lm.sha256)
    try:
        with replicas.least_busy(made.load(next(iter(models))).engine.deployment):  # type: ignore[attr-defined]
            pass
        wait_until(lambda: all(name in one.fit for one in replicas._all), seconds)
        yield made
    finally:
        replicas.close()
