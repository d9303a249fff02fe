from __future__ import annotations

from pathlib import Path

import pytest

from core.models.causal.model import CausalModel
from core.models.classifier.encoder import Encoder, load_encoder
from pipelines.training.data import trained
from pipelines.training.examples import ExamplesRecipe
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal
from tests.pipelines.training.test_sft import MORE, PAIRS, version

SETTINGS = ExamplesRecipe(policy="examples", epochs=1, examples=2, retune_after=2)
ONE = [("where is it", "place")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> CausalModel:
    start = tiny_causal(tmp_path_factory.mktemp("tiny"), encoder)
    made = trained(SETTINGS, version(start, PAIRS), start)
    assert made.metrics["new_rows"] == 4
    assert isinstance(made.model, CausalModel)
    return made.model


def test_the_first_model_learns_its_rows_and_reads_them(first: CausalModel) -> None:
    assert len(first.learnt) == 4
    assert (first.shots, first.examples.targets) == (2, [answer for _, answer in PAIRS])


def test_a_few_new_rows_are_examples_under_the_same_weights(first: CausalModel, tmp_path: Path) -> None:
    made = trained(SETTINGS, version(first, PAIRS + ONE), first).model
    assert isinstance(made, CausalModel)
    assert made.lm is first.lm
    assert made.examples.targets[-1] == "place"
    made.save(tmp_path)
    read = CausalModel.load(tmp_path)
    asked = [text for text, _ in PAIRS + ONE]
    assert [a.output for a in read.answer(asked)] == [a.output for a in made.answer(asked)]
    near = read.examples.near(read.embed(["where is it"]), 1)
    assert [read.examples.targets[i] for (i,) in near] == ["place"]


def test_enough_new_rows_train_the_weights_again(first: CausalModel) -> None:
    made = trained(SETTINGS, version(first, PAIRS + MORE), first)
    assert isinstance(made.model, CausalModel)
    assert made.model.lm is not first.lm
    assert made.metrics["new_rows"] == 2
    assert len(made.model.learnt) == 6


def test_without_examples_it_reads_none(first: CausalModel) -> None:
    none = SETTINGS.model_copy(update={"examples": 0})
    made = trained(none, version(first, PAIRS + ONE), first).model
    assert isinstance(made, CausalModel)
    assert (made.shots, made.examples.targets) == (0, [])
