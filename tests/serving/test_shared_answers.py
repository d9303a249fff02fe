"""In a rollout of a model that writes, an answer that both versions would write is written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core.models.base import Answer
from core.models.causal.examples import Examples
from core.models.causal.model import CausalModel
from core.models.classifier.encoder import load_encoder
from core.records.answers import Request
from core.records.writing import BROKEN, Decoding, Listener
from serving.scoring import LoadedModel, Scores, score
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal
from tests.fake_models import requests

SHOWN = ["how is rain", "pay my card"]


@dataclass(frozen=True, eq=False)
class Counting(CausalModel):
    asked: list[Any] = field(default_factory=list)

    def answer(self, inputs: Sequence[Any], embeddings: Any = None) -> list[Answer]:
        self.asked.extend(inputs)
        return super().answer(inputs, embeddings)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    encoder = load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 32)
    model = tiny_causal(tmp_path_factory.mktemp("tiny"), encoder)
    return replace(model, max_new_tokens=6)


def version(model: CausalModel, shown: Sequence[str]) -> tuple[LoadedModel, list[Any]]:
    examples = Examples(list(shown), ["no"] * len(shown), model.embed(shown))
    parts = {n: getattr(model, n) for n in CausalModel.__dataclass_fields__}
    served = Counting(**{**parts, "examples": examples, "shots": 1})
    return LoadedModel("2", served), served.asked


def outputs(scores: Scores) -> list[str]:
    return [answer.output for answer in scores.answers]


def test_only_what_has_another_prompt_is_written_again(written: CausalModel) -> None:
    before, _ = version(written, SHOWN[:1])
    texts = [*SHOWN, "how is rain today", "pay my rent"]
    asked = [replace(r, text=text) for r, text in zip(requests(4), texts, strict=True)]
    shared = score(before, asked)
    candidate, again = version(written, SHOWN)
    found = score(candidate, asked, shared)
    assert "pay my card" in again
    assert "how is rain" not in again
    alone, _ = version(written, SHOWN)
    assert outputs(found) == outputs(score(alone, asked))
    assert found.read == 0


def test_the_same_version_in_all_writes_nothing(written: CausalModel) -> None:
    shared = score(version(written, SHOWN)[0], requests(3))
    candidate, again = version(written, SHOWN)
    found = score(candidate, requests(3), shared)
    assert again == []
    assert outputs(found) == outputs(shared)
    assert found.answer_ms == shared.answer_ms


def test_other_weights_write_for_themselves(written: CausalModel, tmp_path: Path) -> None:
    shared = score(version(written, SHOWN)[0], requests(3))
    moved = tiny_causal(tmp_path, written.encoder, seed=9)
    candidate, again = version(replace(moved, max_new_tokens=6), SHOWN)
    score(candidate, requests(3), shared)
    assert len(again) == 3


@pytest.mark.parametrize(
    "told",
    [
        {"how": Decoding(), "listener": Listener(lambda _: None)},
        {"how": Decoding(temperature=1.0, seed=1)},
    ],
    ids=["heard", "drawn"],
)
def test_what_is_heard_or_drawn_is_written_again(written: CausalModel, told: dict[str, Any]) -> None:
    asked: list[Request] = [replace(r, **told) for r in requests(2)]
    shared = score(version(written, SHOWN)[0], asked)
    candidate, again = version(written, SHOWN)
    score(candidate, asked, shared)
    assert len(again) == 2


def test_what_broke_off_is_written_again(written: CausalModel) -> None:
    whole = score(version(written, SHOWN)[0], requests(2))
    broken = replace(whole.answers[0], detail=replace(whole.answers[0].detail, finish_reason=BROKEN))  # type: ignore[type-var,call-arg]
    shared = replace(whole, answers=[broken, whole.answers[1]])
    candidate, again = version(written, SHOWN)
    assert outputs(score(candidate, requests(2), shared)) == outputs(whole)
    assert len(again) == 1
