"""Recipes that read requests nobody labelled, and what keeps sft from forgetting, on a real model of
100 kB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import ModelError
from core.models.causal.model import CausalModel
from core.models.causal.objectives import Likelihood
from core.models.causal.packing import TokenSequence
from core.models.causal.reading import network_for, reader
from core.models.classifier.encoder import load_encoder
from pipelines.training.data import Recipe, Teacher, Trained, TrainingData, trained
from pipelines.training.distill import DistillRecipe
from pipelines.training.pretrain import PretrainRecipe
from tests.core.models.test_causal_tuning import weights
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal
from tests.pipelines.training.test_sft import PAIRS, SETTINGS, outputs, version

ASKED = ["pay my card", "is it cold", "play music"]
TAUGHT = {"pay my card": "card", "is it cold": "", "play music": "music"}
DISTILL = DistillRecipe(
    policy="distill", teacher="7", epochs=40, learning_rate=1e-2, batch_size=4, examples=0
)
PRETRAIN = PretrainRecipe(policy="pretrain", epochs=20, learning_rate=3e-3, batch_size=4)
ONCE = SETTINGS.model_copy(update={"epochs": 5})


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    encoder = load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)
    return tiny_causal(tmp_path_factory.mktemp("tiny"), encoder)


def asked(model: CausalModel, teacher: Teacher | None = None) -> TrainingData:
    given = teacher or Teacher(lambda inputs: [TAUGHT[each] for each in inputs])
    return replace(version(model, PAIRS), requests=[*ASKED, "pay"], teacher=lambda name: given)


def learnt(recipe: Recipe, data: TrainingData, start: CausalModel) -> tuple[Trained, CausalModel]:
    found = trained(recipe, data, start)
    assert isinstance(found.model, CausalModel)
    return found, found.model


def far(one: CausalModel, two: CausalModel) -> float:
    a, b = weights(one.lm), weights(two.lm)
    return float(sum(((a[name].float() - b[name].float()) ** 2).sum() for name in a))


def test_distill_learns_what_the_teacher_says(start: CausalModel) -> None:
    found, model = learnt(DISTILL, asked(start), start)
    taught = [("pay my card", "card"), ("play music", "music")]
    assert outputs(model, [*PAIRS, *taught]) == [answer for _, answer in [*PAIRS, *taught]]
    assert (found.metrics["new_rows"], found.metrics["taught_rows"]) == (6, 2)
    assert found.notes == ["7 answered 2 of 3 requests"]


def test_answers_of_a_teacher_become_no_examples(start: CausalModel) -> None:
    some = DISTILL.model_copy(update={"examples": 2, "epochs": 1})
    _, model = learnt(some, asked(start), start)
    assert model.examples.targets == [answer for _, answer in PAIRS]


def test_a_teacher_on_this_machine_teaches_its_probabilities(
    start: CausalModel, tmp_path: Path
) -> None:
    older = replace(tiny_causal(tmp_path, start.encoder, 5), max_new_tokens=8)
    teacher = Teacher(lambda inputs: [TAUGHT[each] for each in inputs], older)
    near = DISTILL.model_copy(update={"probabilities": 5.0, "epochs": 10})
    plain = DISTILL.model_copy(update={"epochs": 10})
    answers = [row for row in sequences(start) if any(row.learnt)]
    apart = [
        divergence(older, learnt(r, asked(start, teacher), start)[1], answers) for r in (near, plain)
    ]
    assert apart[0] < 0.8 * apart[1]


def sequences(model: CausalModel) -> list[TokenSequence]:
    prompts = model.lm.prompts
    both = [(prompts.prompt(text), prompts.answer(answer)) for text, answer in PAIRS]
    return [TokenSequence(p + a, [False] * len(p) + [True] * len(a)) for p, a in both]


def divergence(one: CausalModel, two: CausalModel, rows: Sequence[TokenSequence]) -> float:
    import torch

    with torch.no_grad():
        a, b = (reader(network_for(m.lm.folder, 128))(rows).logits.log_softmax(-1) for m in (one, two))
    return float(torch.nn.functional.kl_div(b, a, log_target=True, reduction="batchmean"))


@pytest.mark.parametrize("who", ["server", "tokenizer"])
def test_probabilities_need_a_teacher_of_the_same_tokens(who: str, start: CausalModel) -> None:
    model: Any = None if who == "server" else object()
    teacher = Teacher(lambda inputs: ["x" for _ in inputs], model)
    near = DISTILL.model_copy(update={"probabilities": 1.0})
    with pytest.raises(
        ModelError, match=r"(?s)probabilities cannot be learnt.*teacher 7.*set training.prob"
    ):
        near.train(asked(start, teacher), start)


def test_pretrain_makes_the_requests_likelier_and_keeps_answers_between(start: CausalModel) -> None:
    _, champion = learnt(SETTINGS, version(start, PAIRS), start)
    found, model = learnt(PRETRAIN, asked(champion), champion)
    assert found.metrics["new_requests"] == found.metrics["replayed_rows"] == 4
    assert found.curves["loss"][-1] < 0.7 * found.curves["loss"][0]
    assert outputs(model, PAIRS) == [answer for _, answer in PAIRS]
    again, kept = learnt(PRETRAIN, asked(model), model)
    assert kept.lm is model.lm
    assert again.notes == ["no new request among 4 requests: the champion's weights are kept"]


def test_the_loss_of_the_request_can_be_added(start: CausalModel) -> None:
    read, rows = reader(network_for(start.lm.folder, 128)), sequences(start)
    whole = [TokenSequence(row.tokens, [True] * len(row.tokens)) for row in rows]
    parts = [float(Likelihood().loss(read, each)[0].detach()) for each in (rows, whole)]
    loss, told = Likelihood(0.5).loss(read, rows)
    assert float(loss.detach()) == pytest.approx(parts[0] + 0.5 * parts[1], rel=1e-3)
    assert told["language_loss"] == pytest.approx(parts[1], rel=1e-3)
    found, _ = learnt(ONCE.model_copy(update={"language_loss": 0.5}), version(start, PAIRS), start)
    assert len(found.curves["language_loss"]) == len(found.curves["loss"]) == 5


@pytest.mark.parametrize("setting", [{"anchor": 50.0}, {"keep": 20.0}], ids=["anchor", "keep"])
def test_what_is_against_forgetting_keeps_the_model_near(
    setting: dict[str, float], start: CausalModel
) -> None:
    _, plain = learnt(ONCE, version(start, PAIRS), start)
    _, kept = learnt(ONCE.model_copy(update=setting), version(start, PAIRS), start)
    rows = sequences(start)
    assert divergence(start, kept, rows) < 0.7 * divergence(start, plain, rows)
    if "anchor" in setting:
        assert far(start, kept) < 0.7 * far(start, plain)


def test_data_without_a_teacher_says_so(start: CausalModel) -> None:
    with pytest.raises(ModelError, match=r"(?s)no teacher here.*7"):
        DISTILL.train(version(start, PAIRS), start)
