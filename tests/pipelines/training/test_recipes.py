from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import load_file

from core.errors import ModelError
from core.models.classifier.encoder import Encoder, load_encoder
from core.models.classifier.model import TextClassifier
from pipelines.training import Trained, Training, TrainingData
from pipelines.training.finetune import FinetuneRecipe
from pipelines.training.head import HeadRecipe
from tests.core.models.tiny import save_tiny_encoder

SAYINGS = {
    "pay": ["pay my card", "send money", "my card is lost", "pay the money please"],
    "sky": ["is the rain cold", "sun", "the weather is cold", "rain please"],
    "song": ["play a song", "stop the music", "the song is loud", "play music please"],
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("tiny")), 64)


@pytest.fixture(scope="module")
def data(encoder: Encoder) -> TrainingData:
    rows = [(t, label) for label, texts in SAYINGS.items() for t in texts]
    texts, labels = [t for t, _ in rows], [label for _, label in rows]
    asked = ["send my money please", "cold sun", "loud music"]
    return TrainingData(
        texts, labels, encoder.encode(texts), asked, ["pay", "sky", "song"], encoder.encode(asked)
    )


def head_bytes(trained: Trained, folder: Path) -> bytes:
    trained.model.save(folder)
    return (folder / "head.safetensors").read_bytes()


def test_a_recipe_is_chosen_by_its_policy() -> None:
    read = TypeAdapter(Training).validate_python
    assert read({"policy": "head"}) == HeadRecipe(policy="head")
    assert isinstance(read({"policy": "finetune", "epochs": 1}), FinetuneRecipe)


def test_head_reads_no_text_and_repeats_itself(
    encoder: Encoder, data: TrainingData, tmp_path: Path
) -> None:
    before = encoder.reads
    one, two = (HeadRecipe(policy="head").train(data, TextClassifier(encoder)) for _ in range(2))
    assert encoder.reads == before
    assert one.metrics == two.metrics
    assert head_bytes(one, tmp_path / "one") == head_bytes(two, tmp_path / "two")
    expected = {"train_rows": 12.0, "train_labels": 3.0, "train_accuracy": 1.0, "evaluation_rows": 3.0}
    assert expected.items() <= one.metrics.items()
    assert 0 <= one.metrics["evaluation_accuracy"] <= 1


def test_head_starts_from_the_champion_and_keeps_its_labels(
    encoder: Encoder, data: TrainingData
) -> None:
    champion = HeadRecipe(policy="head").train(data, TextClassifier(encoder)).model
    new = encoder.encode(["rate", "the rate please"])
    more = TrainingData(["rate", "the rate please"], ["rate", "rate"], new, [], [], new[:0])
    trained = HeadRecipe(policy="head").train(more, champion)
    assert trained.model.head is not None
    assert trained.model.head.labels == ["pay", "rate", "sky", "song"]
    assert "evaluation_accuracy" not in trained.metrics


def test_rows_that_do_not_fit_together_are_refused(data: TrainingData) -> None:
    with pytest.raises(ModelError, match="equal counts, and at least one row"):
        TrainingData(data.inputs, data.targets[1:], data.embeddings, [], [], data.embeddings[:0])
    with pytest.raises(ModelError, match="equal counts, and at least one row"):
        TrainingData([], [], data.embeddings[:0], [], [], data.embeddings[:0])


def test_finetune_moves_the_encoder_repeats_itself_and_leaves_nothing_behind(
    encoder: Encoder,
    data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    recipe = FinetuneRecipe(policy="finetune", epochs=3, learning_rate=1e-3, batch_size=4)
    before = encoder.encode(["rain"]).tobytes()
    one, two = (recipe.train(data, TextClassifier(encoder)) for _ in range(2))
    assert one.metrics == two.metrics
    assert one.metrics["evaluation_accuracy"] >= one.metrics["head_evaluation_accuracy"]
    assert one.model.encoder.identity == two.model.encoder.identity != encoder.identity
    assert encoder.encode(["rain"]).tobytes() == before
    assert head_bytes(one, tmp_path / "one") == head_bytes(two, tmp_path / "two")
    saved = {p.name for p in (tmp_path / "one" / "encoder").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= saved
    assert capfd.readouterr() == ("", "")


def test_finetune_with_adapters_moves_linear_layers_alone(
    encoder: Encoder, data: TrainingData, tmp_path: Path
) -> None:
    recipe = FinetuneRecipe(policy="finetune", epochs=6, learning_rate=1e-2, batch_size=4, lora_rank=4)
    rows = TrainingData(*(data.inputs, data.targets, data.embeddings) * 2)
    tuned = recipe._tuned(rows, HeadRecipe(policy="head").train(rows, TextClassifier(encoder)).model)
    assert tuned is not None
    again = recipe._tuned(rows, HeadRecipe(policy="head").train(rows, TextClassifier(encoder)).model)
    assert again is not None
    assert again.model.identity == tuned.model.identity
    tuned.model.save(tmp_path)
    before, after = (
        load_file(next(f.glob("*.safetensors"))) for f in (encoder.folder, tmp_path / "encoder")
    )
    assert set(after) == set(before)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(name.endswith("dense.weight") or ".self." in name for name in changed)
    assert load_encoder(str(tmp_path / "encoder"), 64).sha256 != encoder.sha256


def test_finetune_says_so_when_it_is_worse(
    encoder: Encoder, data: TrainingData, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = FinetuneRecipe(policy="finetune", epochs=3, learning_rate=3.0, batch_size=4)
    rows = TrainingData(*(data.inputs, data.targets, data.embeddings) * 2)  # knows every answer
    trained = recipe.train(rows, TextClassifier(encoder))
    assert trained.model.encoder is encoder
    assert (
        trained.metrics["evaluation_accuracy"] == 1.0 > trained.metrics["finetune_evaluation_accuracy"]
    )
    assert trained.notes[0].startswith("finetune is worse than head on 12 evaluation rows (")
    assert trained.notes[0].endswith("against 1.0000): the head model is kept")
    assert trained.notes[0] in caplog.messages


def test_finetune_without_evaluation_rows_proves_nothing(encoder: Encoder, data: TrainingData) -> None:
    rows = TrainingData(data.inputs, data.targets, data.embeddings, [], [], data.embeddings[:0])
    trained = FinetuneRecipe(policy="finetune", epochs=1).train(rows, TextClassifier(encoder))
    assert trained.model.encoder is encoder
    assert trained.notes == [
        "finetune has no evaluation rows to prove itself on: the head model is kept"
    ]
