from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, ModelError
from core.models.causal.model import CausalModel
from core.models.classifier.encoder import Encoder, load_encoder
from core.models.classifier.model import TextClassifier
from pipelines.training.data import TrainingData, trained
from pipelines.training.sft import SftRecipe
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal

PAIRS = [("pay", "card"), ("rain", "sky"), ("play a song", "music"), ("stop", "end")]
MORE = [("is it cold", "sky"), ("loud", "music")]
SETTINGS = SftRecipe(policy="sft", epochs=60, learning_rate=1e-2, batch_size=4, examples=0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> CausalModel:
    return tiny_causal(tmp_path_factory.mktemp("tiny"), encoder)


def version(model: CausalModel, pairs: list[tuple[str, str]]) -> TrainingData:
    texts, answers = [a for a, _ in pairs], [b for _, b in pairs]
    read = model.embed(texts).astype(np.float32)
    return TrainingData(texts, answers, read, texts, answers, read)


def outputs(model: CausalModel, pairs: list[tuple[str, str]]) -> list[str]:
    return [answer.output for answer in model.answer([asked for asked, _ in pairs])]


def test_it_learns_new_rows_and_reads_some_old_ones_again(start: CausalModel, tmp_path: Path) -> None:
    first = trained(SETTINGS, version(start, PAIRS), start)
    assert isinstance(first.model, CausalModel)
    assert outputs(first.model, PAIRS) == [answer for _, answer in PAIRS]
    assert first.model.identity == start.identity
    assert (first.metrics["new_rows"], first.metrics["replayed_rows"]) == (4, 0)
    assert len(first.curves["loss"]) == first.metrics["steps"] == 60
    first.model.save(tmp_path)
    second = trained(SETTINGS, version(start, PAIRS + MORE), CausalModel.load(tmp_path))
    assert isinstance(second.model, CausalModel)
    assert (second.metrics["new_rows"], second.metrics["replayed_rows"]) == (2, 4)
    assert outputs(second.model, PAIRS + MORE) == [answer for _, answer in PAIRS + MORE]
    assert second.model.learnt > first.model.learnt


def test_replay_is_a_share_of_the_rows(start: CausalModel) -> None:
    quick = SETTINGS.model_copy(update={"epochs": 1, "replay": 0.5})
    first = trained(quick, version(start, PAIRS), start)
    second = trained(quick, version(start, PAIRS + MORE), first.model)
    assert (second.metrics["new_rows"], second.metrics["replayed_rows"]) == (2, 2)


def test_a_corrected_answer_is_a_new_row(start: CausalModel) -> None:
    quick = SETTINGS.model_copy(update={"epochs": 1})
    first = trained(quick, version(start, PAIRS), start)
    again = trained(quick, version(start, [("pay", "cash"), *PAIRS[1:]]), first.model)
    assert again.metrics["new_rows"] == 1


def test_without_a_new_row_the_champion_is_kept(start: CausalModel) -> None:
    quick = SETTINGS.model_copy(update={"epochs": 1})
    first = trained(quick, version(start, PAIRS), start)
    again = trained(quick, version(start, PAIRS), first.model)
    assert again.model.lm is first.model.lm  # type: ignore[attr-defined]
    assert again.notes == ["no new row: the champion's weights are kept"]


def test_a_row_longer_than_the_context_is_named(start: CausalModel) -> None:
    quick = SETTINGS.model_copy(update={"epochs": 1})
    some = trained(quick, version(start, [*PAIRS, ("pay", "long " * 40)]), start)
    assert some.metrics["new_rows"] == 4
    assert some.notes == [
        "left out, as longer than the model's context of 128 tokens: 1 row, the first of 222 tokens: 'pay'"
    ]
    with pytest.raises(InputError, match=r"(?s)no row can be learnt.*context of 128 tokens: 1 row"):
        trained(quick, version(start, [("pay", "long " * 40)]), start)


def test_a_classifier_is_refused(start: CausalModel, encoder: Encoder) -> None:
    with pytest.raises(ModelError, match=r"(?s)only a model that writes.*TextClassifier"):
        SETTINGS.train(version(start, PAIRS), TextClassifier(encoder))
