"""Which encoder the first rows ask for, and the plain baseline beside every model."""

from __future__ import annotations

import numpy as np

from core.models.classifier.batches import Reading
from pipelines.training.base import base_encoder
from pipelines.training.baseline import baseline, beside, cut

WORDS = ["카드", "비행기", "날씨", "음악", "점심", "회의", "버스", "가방"]
ENDINGS = {
    "question": ["나요", "니", "까요"],
    "command": ["해줘", "하세요", "해라"],
    "fact": ["했다", "래", "어요"],
}
READS, DOES_NOT = Reading(0.25, 0.0), Reading(1.4, 0.09)


def rows(n: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Korean texts whose endings say what they mean."""
    rng = np.random.default_rng(seed)
    labels = [str(x) for x in rng.choice(list(ENDINGS), n)]
    texts = [f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.choice(ENDINGS[x])}" for x in labels]
    return texts, labels


def blind(n: int) -> np.ndarray:
    """Embeddings of an encoder that reads nothing."""
    return np.random.default_rng(1).standard_normal((n, 32)) / 6


def seeing(labels: list[str]) -> np.ndarray:
    return np.eye(3)[[list(ENDINGS).index(x) for x in labels]] + blind(len(labels))[:, :3] / 2


def test_texts_that_the_encoder_does_not_read_get_n_grams_and_the_reason_is_said() -> None:
    texts, labels = rows(200)
    name, why = base_encoder(texts, labels, blind(200), DOES_NOT)
    assert name == "ngrams"
    assert why.startswith("encoder ngrams, by a ridge regression in 4 folds of 200 rows: sentence-")
    assert "does not read these texts (1.40 tokens a character, English 0.25; 9% unknown)" in why


def test_an_encoder_that_reads_them_stays_and_nothing_is_said() -> None:
    texts, labels = rows(200)
    name, why = base_encoder(texts, labels, seeing(labels), READS)
    assert (name, why) == ("sentence-transformers/all-MiniLM-L6-v2", "")


def test_few_rows_choose_nothing_but_a_poor_reading_is_said() -> None:
    texts, labels = rows(40)
    name, why = base_encoder(texts, labels, blind(40), DOES_NOT)
    assert name == "sentence-transformers/all-MiniLM-L6-v2"
    assert "a multilingual encoder" in why


def test_the_baseline_reads_any_language_and_is_named_where_it_is_near() -> None:
    found = baseline(*rows(200), *rows(60, seed=1))
    assert found > 0.9
    metrics = {"ngram_accuracy": found, "evaluation_accuracy": 0.5, "evaluation_rows": 60.0}
    assert beside(metrics).startswith("character n-grams alone are better than this model")
    assert "are near" in beside({**metrics, "evaluation_accuracy": found})
    assert beside({**metrics, "evaluation_accuracy": 1.1}) == ""
    assert beside({**metrics, "evaluation_rows": 6.0}) == beside({}) == ""


def test_texts_that_were_cut_are_counted() -> None:
    assert cut({"cut_texts": 3.0}) == "only the first model.max_tokens of 3 texts were read"
    assert cut({}) == ""
