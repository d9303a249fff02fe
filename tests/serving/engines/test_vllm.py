"""A real vLLM on this machine's processor, and adapters that were really trained: make test-vllm.

It writes with SmolLM2-135M. Each version learnt to say a word of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from core.errors import EngineError
from core.models.causal.examples import Examples
from core.models.causal.language_model import LanguageModel, load_language_model
from core.models.causal.model import CausalModel
from core.models.causal.offline import NAME
from core.models.causal.packing import Demonstrations, sequences
from core.models.causal.tuning import TuningPlan, tune
from core.models.classifier.encoder import load_encoder
from core.store import Store
from core.tasks import Generation
from serving.engines.chosen import Chosen
from serving.engines.deployments import weights_name
from tests import ROOT
from tests.core.models.tiny import save_tiny_encoder
from tests.serving.engines.stubs import chosen
from tests.serving.engines.swapping import ASK, check_swaps, swap_under_load
from tests.serving.real_server import wait_until

VLLM = Path(ROOT) / ".vllm" / "bin" / "vllm"
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not VLLM.is_file(), reason="vLLM is not installed: make .vllm/installed"),
]
WORDS = {"1": "green", "2": "blue", "3": "yellow"}
TEXTS = ("turn off the light", "wake me at seven", "hello", "play a song")
SECONDS = 900.0  # on a machine that does something else, too
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
LOCAL = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
# One slot more than adapters. vLLM 0.32 computes a request of the base weights with the last slot, where
# a request of an adapter is in its batch: `lora_weights[-1]` in vllm/lora/ops/torch_ops (processors only).
OPTIONS = (
    "--dtype bfloat16 --max-model-len 512 --max-num-seqs 32 --enforce-eager --host 127.0.0.1 "
    "--enable-lora --max-lora-rank 8 --max-loras 3"
)


def learnt(lm: LanguageModel, word: str) -> LanguageModel:
    """A LoRA that says one word."""
    rows = Demonstrations(list(TEXTS), [word] * len(TEXTS), np.eye(len(TEXTS)))
    passes = [sequences(lm.prompts, rows, 0, 0.0, seed) for seed in range(8)]
    return tune(lm, passes, TuningPlan(5e-3, 4, rank=8)).lm


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CausalModel]:
    """The weights that vLLM is started with, two LoRAs on them, and version 4, which is 1 and examples."""
    place = tmp_path_factory.mktemp("models")
    encoder = load_encoder(save_tiny_encoder(place / "encoder"), 64)
    base = load_language_model(NAME)
    first = learnt(base, WORDS["1"])
    shutil.rmtree(first.folder / "adapter")  # merged weights alone, which the others stand on
    for version, word in WORDS.items():
        lm = first if version == "1" else learnt(first, word)
        CausalModel(encoder, lm, 8).save(place / version)
    made = {version: CausalModel.load(place / version) for version in WORDS}
    texts = ["pay my card", "rain"]
    taught = Examples(texts, [WORDS["1"]] * 2, encoder.encode(texts))
    return made | {"4": replace(made["1"], examples=taught, shots=1)}


@pytest.fixture(scope="module")
def url(models: dict[str, CausalModel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vllm(models["1"], tmp_path_factory.mktemp("vllm") / "log") as url:
        yield url


@contextmanager
def vllm(model: CausalModel, log: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    name = ["--served-model-name", weights_name(model.lm.sha256), "--port", str(port)]
    command = [VLLM, "serve", model.lm.folder, *name, *OPTIONS.split()]
    environment = os.environ | QUIET | LOCAL | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
    with (
        log.open("w") as said,
        subprocess.Popen(command, env=environment, stdout=said, stderr=said) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or _answers(port), SECONDS)
            assert process.poll() is None, log.read_text()[-4000:]
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def made(url: str, models: dict[str, CausalModel]) -> Iterator[Chosen]:
    with chosen([url], models, timeout_ms=120_000, seconds=SECONDS) as made:
        yield made


def fit(made: Chosen, model: CausalModel) -> bool:
    assert made.replicas is not None
    return weights_name(model.lm.sha256) in made.replicas._all[0].fit


def ask(made: Chosen, version: str) -> str:
    return made.load(version).answer([TEXTS[0]])[0].output


def post(url: str, what: str, body: dict[str, Any]) -> None:
    httpx.post(f"{url}/v1/{what}", json=body, timeout=120).raise_for_status()


def test_swaps_under_load(made: Chosen, models: dict[str, CausalModel], tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}", task=Generation())
    callers = swap_under_load(store, made, models, ASK | {"max_tokens": 8})
    check_swaps(store, callers, WORDS | {"4": WORDS["1"]})
    store.close()


def test_an_adapter_that_is_gone_is_loaded_again(
    made: Chosen, models: dict[str, CausalModel], url: str
) -> None:
    with pytest.raises(EngineError):
        ask(made, "2")
    wait_until(lambda: fit(made, models["2"]), SECONDS)
    assert ask(made, "2") == WORDS["2"]
    post(url, "unload_lora_adapter", {"lora_name": weights_name(models["2"].lm.sha256)})
    with pytest.raises(EngineError, match=r"does not exist|no engine has the weights"):
        ask(made, "2")
    wait_until(lambda: fit(made, models["2"]), SECONDS)
    assert ask(made, "2") == WORDS["2"]


def test_another_adapter_under_a_versions_name_is_not_asked(
    made: Chosen, models: dict[str, CausalModel], url: str
) -> None:
    name = weights_name(models["3"].lm.sha256)
    if name in {one["id"] for one in httpx.get(f"{url}/v1/models").json()["data"]}:
        post(url, "unload_lora_adapter", {"lora_name": name})
    folder = str(models["2"].lm.folder / "adapter")
    post(url, "load_lora_adapter", {"lora_name": name, "lora_path": folder})
    with pytest.raises(EngineError):
        ask(made, "3")
    replicas = made.replicas
    assert replicas is not None
    wait_until(lambda: bool(replicas._all[0].unfit()), SECONDS)
    with pytest.raises(EngineError, match=r"(?s)does not answer as the model of the registry.*blue"):
        ask(made, "3")
    post(url, "unload_lora_adapter", {"lora_name": name})
