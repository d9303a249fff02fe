"""Character n-grams stand where an encoder stands."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError
from core.models.classifier.encoder import load_encoder
from core.models.classifier.head import fit_head
from core.models.classifier.model import TextClassifier
from core.models.classifier.ngrams import DIM, ngrams
from tests.core.models.tiny import save_tiny_encoder

TEXTS = ["카드를 잃어버렸어요", "카드 잃어버림", "비가 오나요", "the card is lost", "", "🙂"]


def test_every_text_has_one_vector_of_length_one_whatever_its_neighbours() -> None:
    encoder = load_encoder("ngrams")
    read = encoder.encode(TEXTS)
    assert (read.shape, read.dtype, encoder.reads) == ((6, DIM), np.float16, 6)
    np.testing.assert_allclose(np.linalg.norm(read.astype(float), axis=1), 1, atol=2e-3)
    np.testing.assert_array_equal(read[2], encoder.encode(TEXTS[2:3])[0])
    decomposed = [unicodedata.normalize("NFD", t) for t in TEXTS]
    np.testing.assert_array_equal(read, encoder.encode(decomposed))
    assert read[0] @ read[1] > read[0] @ read[2]
    assert encoder.encode([]).shape == (0, DIM)
    assert np.isnan(encoder.tokens.unknown(TEXTS)).all()


def test_a_model_on_ngrams_survives_the_disk(tmp_path: Path) -> None:
    encoder = load_encoder("ngrams")
    model = TextClassifier(encoder, fit_head(encoder.encode(TEXTS[:3]), ["lost", "lost", "rain"]))
    model.save(tmp_path)
    again = TextClassifier.load(tmp_path)
    assert again.identity == model.identity == "ngrams@" + encoder.sha256[:8] + "/2048"
    assert [a.output for a in again.answer(TEXTS[:3])] == ["lost", "lost", "rain"]
    assert again.on("onnx-int8").identity == model.identity


def test_beside_an_encoder_both_are_in_one_vector(tmp_path: Path) -> None:
    tiny = load_encoder(save_tiny_encoder(tmp_path), 64)
    both = ngrams(tiny)
    read = both.encode(["rain please", "the weather"])
    assert read.shape == (2, tiny.dim + DIM)
    np.testing.assert_allclose(np.linalg.norm(read.astype(float), axis=1), 1, atol=2e-3)
    assert both.identity.endswith("+" + tiny.identity)
    np.testing.assert_array_equal(
        both.tokens.unknown(["rain", "zzz"]), tiny.tokens.unknown(["rain", "zzz"])
    )


def test_what_needs_weights_is_refused() -> None:
    with pytest.raises(ModelError, match=r"(?s)n-grams have no weights.*ngrams.*model.encoder"):
        _ = load_encoder("ngrams").file
