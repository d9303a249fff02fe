"""kill -9 of a server that others write for: what was acknowledged is stored, and nothing twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.models.causal.model import CausalModel
from core.models.classifier.encoder import load_encoder
from core.state import Champion
from serving.engines.deployments import weights_name
from tests.core.models.tiny import save_tiny_encoder
from tests.serving.engines.callers import Callers
from tests.serving.engines.killed_server import serving, store_in
from tests.serving.engines.stubs import adapted_model, mode, served_model, stub
from tests.serving.real_server import wait_until

ASK = {"model": "everloop", "messages": [{"role": "user", "content": "pay my card"}]}
KILLS = pytest.mark.parametrize(
    "kills", [pytest.param(1, id="one"), pytest.param(25, id="many", marks=pytest.mark.slow)]
)


class Place:
    """A store, two versions of a model and an engine that has them; servers come and go."""

    def __init__(self, folder: Path, url: str, models: dict[str, CausalModel]) -> None:
        self.folder, self.url, self.models = folder, url, models
        self.folders = {version: model.lm.folder.parent for version, model in models.items()}
        self.heard: list[Callers] = []
        self.draw = random.Random(0)
        self.store = store_in(folder)
        self.store.state.write(Champion("1"))

    def kill(self, during: Callable[[], object] = lambda: None) -> None:
        """Start a server, load it, and kill it at some moment."""
        callers = Callers("", ASK, rates=True)
        with serving(self.folder, [self.url], self.folders) as server:
            assert champion_of(server.address) == self.store.state.champion()
            callers.address = server.address
            with callers.asking(3):
                wait_until(lambda: bool(callers.answers or callers.failures), 60)
                during()
                time.sleep(self.draw.random() * 0.3)
                assert callers.failures == []
                callers.over = True
                server.kill()
        assert callers.failures, "the kill cut nobody"
        self.heard.append(callers)

    def check(self) -> None:
        """All that was acknowledged is there, once."""
        with serving(self.folder, [self.url], self.folders) as server:
            champion = self.store.state.champion()
            assert champion_of(server.address) == champion
            after = Callers(server.address, ASK)
            with httpx.Client(base_url=server.address, timeout=60) as http:
                assert after.stream(http).text.endswith(name(self.models[champion]))
                for answer_id in [one for callers in self.heard for one in callers.thumbs]:
                    assert after.rate(http, answer_id)  # again
        answers = {one.answer_id: one for callers in self.heard for one in callers.answers}
        for answer_id, one in answers.items():
            found = self.store.answers.get(answer_id)
            assert found is not None
            assert (found.model_version, found.output) == (one.version, one.text)
            assert one.text.endswith(name(self.models[one.version]))
        asked = sum(callers.asked for callers in self.heard)
        assert len(answers) <= self.store.answers.count() - 1 <= asked
        thumbs = {one for callers in self.heard for one in callers.thumbs}
        assert len(thumbs) <= self.store.feedback.count() <= len(answers)


def champion_of(address: str) -> str:
    return str(httpx.get(f"{address}/ready", timeout=60).json()["champion"])


def name(model: CausalModel) -> str:
    return weights_name(model.lm.sha256)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CausalModel]:
    """Version 1, and a LoRA on it."""
    place = tmp_path_factory.mktemp("killed") / "models"
    encoder = load_encoder(save_tiny_encoder(place / "encoder"), 64)
    first = served_model(place / "1", encoder, signed=True)
    return {"1": first, "2": adapted_model(place / "2", first, 2, signed=True)}


@pytest.fixture
def place(models: dict[str, CausalModel], tmp_path: Path) -> Iterator[Place]:
    with stub(name(models["1"])) as url:
        mode(url, "ok", signed=True, first=0.02, each=0.02)
        place = Place(tmp_path, url, models)
        yield place
        place.store.close()


@KILLS
def test_killed_while_answers_are_written(place: Place, kills: int) -> None:
    for _ in range(kills):
        place.kill()
    place.check()


@KILLS
def test_killed_while_a_version_comes(place: Place, kills: int) -> None:
    """The adapter is loaded, checked and asked; and back, which is routing."""
    mode(place.url, "ok", loading=0.1)
    for kill in range(kills):
        version = "21"[kill % 2]
        if version == "2":
            mode(place.url, "ok", adapters={})
        place.kill(lambda v=version: place.store.state.write(Champion(v)))  # type: ignore[misc]
    place.check()
