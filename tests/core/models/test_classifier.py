from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError
from core.label_set import LabelSet, Operation
from core.models.base import Classifier, Model
from core.models.classifier import encoder
from core.models.classifier.encoder import DEFAULT, PACKAGE, Encoder, load_encoder
from core.models.classifier.head import Fitting, Head, fit_head
from core.models.classifier.model import TextClassifier
from tests.core.models.tiny import said, save_tiny_encoder

TEXTS = ["pay my card", "rain", "play a loud song please", "is the weather cold", "", "stop the music"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("tiny")), 64)


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    return load_encoder(DEFAULT)


def clusters(labels: str, rows: int = 8, dim: int = 32, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """`rows` points around one corner for each letter."""
    names = [name for name in labels for _ in range(rows)]
    corners = np.array([np.eye(dim)[ord(name) - ord("a")] for name in names])
    return corners + np.random.default_rng(seed).normal(0, 0.05, corners.shape), names


# -- encoder ------------------------------------------------------------------------------


def test_minilm_is_named_by_its_bytes_and_close_texts_are_close(minilm: Encoder) -> None:
    assert minilm.identity == "sentence-transformers/all-MiniLM-L6-v2@53aa5117/torch-fp32/128"
    assert (minilm.dim, minilm.local) == (384, False)
    lost, also_lost, rain = minilm.encode(
        ["I lost my card", "my card is gone", "will it rain?"]
    ).astype(np.float32)
    assert lost @ also_lost > 0.6 > 0.2 > lost @ rain


def test_published_tokens_are_those_of_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        *TEXTS,
        "Ünïcode ÉCOLE don't",
        "日本語 🎉",
        "[MASK] [UNK] [PAD]",
        "\u200b \ud7ff",
        "x" * 900,
    ]
    published = load_encoder(DEFAULT).tokens
    monkeypatch.setattr("core.models.files.KNOWN_TOKENIZER", "")
    theirs = load_encoder(DEFAULT).tokens
    ours, others = published.batch(texts), theirs.batch(texts)
    assert (ours.ids == others.ids).all()
    assert (ours.mask == others.mask).all()
    assert np.array_equal(published.unknown(texts), theirs.unknown(texts), equal_nan=True)


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / PACKAGE
    save_tiny_encoder(package / "model")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    with pytest.raises(
        ModelError, match=r"not the published ones\n  where: .*\n  got: .*\n  expected: 53aa51172"
    ):
        load_encoder(DEFAULT)


def test_an_encoder_that_is_nowhere_says_what_to_install() -> None:
    with pytest.raises(
        ModelError, match=r"(?s)not found.*where: +nobody/nothing.*pip install 'everloop\[offline\]'"
    ):
        load_encoder("nobody/nothing")


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="no weights"):
        load_encoder(str(tmp_path))


def test_too_many_tokens_are_refused(tiny: Encoder) -> None:
    with pytest.raises(ModelError, match="expected: 2 to 64"):
        load_encoder(tiny.name, 128)


def test_embeddings_keep_the_order_of_the_texts_and_have_length_one(tiny: Encoder) -> None:
    texts = [f"{a} {b}" for a in TEXTS for b in TEXTS] * 4  # more than two batches
    together = tiny.encode(texts)
    alone = np.vstack([tiny.encode([t]) for t in texts[:36]])
    assert together.dtype == np.float16
    assert together.shape == (144, 32)
    np.testing.assert_allclose(together[:36], alone, atol=1e-3)  # float16's last bit
    np.testing.assert_allclose(np.linalg.norm(together.astype(np.float32), axis=1), 1, atol=2e-3)
    back = tiny.encode(texts[::-1])[::-1]
    np.testing.assert_allclose(together, back, atol=1e-3)


def test_every_text_read_is_counted_once(tiny: Encoder) -> None:
    before = tiny.reads
    assert tiny.encode([]).shape == (0, 32)
    assert tiny.reads == before
    tiny.encode(TEXTS * 20)
    assert tiny.reads == before + 120


def test_a_very_long_text_is_cut_at_max_tokens(tiny: Encoder) -> None:
    long = "rain " * 20_000
    np.testing.assert_array_equal(tiny.encode([long]), tiny.encode(["rain " * 62]))


def test_a_folder_is_known_by_its_weights_wherever_it_lies(tiny: Encoder, tmp_path: Path) -> None:
    tiny.copy_files(tmp_path / "moved")
    assert load_encoder(str(tmp_path / "moved"), 64).identity == tiny.identity
    assert tiny.identity == f"local@{tiny.sha256[:8]}/torch-fp32/64"
    assert load_encoder(save_tiny_encoder(tmp_path / "other", seed=1), 64).identity != tiny.identity


# -- head ---------------------------------------------------------------------------------


def accuracy(head: Head, embeddings: np.ndarray, labels: list[str]) -> float:
    best = head.probabilities(embeddings).argmax(axis=1)
    return float(np.mean([head.labels[k] == label for k, label in zip(best, labels, strict=True)]))


@pytest.mark.parametrize("labels", ["ab", "abc", "abcdefghij"])
def test_a_head_learns_its_labels(labels: str) -> None:
    embeddings, names = clusters(labels)
    head = fit_head(embeddings, names)
    shares = head.probabilities(embeddings.astype(np.float16))
    assert (head.labels, shares.dtype) == (list(labels), np.float32)
    assert accuracy(head, embeddings, names) == 1.0
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)


def test_one_label_is_certain() -> None:
    head = fit_head(*clusters("a"))
    assert head.labels == ["a"]
    assert head.probabilities(np.ones((2, 32))).tolist() == [[1.0], [1.0]]


def test_no_rows_are_an_error_and_no_embeddings_are_not() -> None:
    with pytest.raises(ModelError, match="at least one labelled row"):
        fit_head(np.zeros((0, 32)), [])
    assert fit_head(*clusters("abc")).probabilities(np.zeros((0, 32), np.float16)).shape == (0, 3)


def test_the_label_set_grows_and_forgets_nothing() -> None:
    start = fit_head(*clusters("abc"))
    kept = start.weight.copy()
    embeddings, names = clusters("bcd", seed=1)
    head = fit_head(embeddings, names, start=start)
    assert head.labels == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(head.weight[0], start.weight[0])
    assert head.bias[0] == start.bias[0]
    np.testing.assert_array_equal(start.weight, kept)  # the champion is not touched
    assert accuracy(head, embeddings, names) == 1.0
    assert accuracy(head, *clusters("a", seed=2)) == 1.0


def test_a_new_label_with_three_rows_is_heard_among_many() -> None:
    embeddings, names = clusters("ab", rows=200)
    new, new_names = clusters("c", rows=3, seed=1)
    head = fit_head(np.vstack([embeddings, new]), names + new_names, start=fit_head(embeddings, names))
    assert accuracy(head, *clusters("c", rows=50, seed=2)) == 1.0


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        fit_head(*clusters("abcde"), start=fit_head(*clusters("abx"))).save(tmp_path / name)
    one, two = ((tmp_path / n / "head.safetensors").read_bytes() for n in ("one", "two"))
    assert one == two


def test_a_fit_that_does_not_converge_is_quiet() -> None:
    embeddings, names = clusters("abcdef", rows=2)
    fit_head(embeddings * 1e4, names, fitting=Fitting(penalty=1e-12))


def test_a_head_of_another_encoder_is_refused() -> None:
    with pytest.raises(ModelError, match=r"(?s)different encoders.*embeddings of 16 numbers.*32"):
        fit_head(clusters("ab", dim=16)[0], clusters("ab")[1], start=fit_head(*clusters("ab")))


def test_a_head_survives_the_disk(tmp_path: Path) -> None:
    head = fit_head(*clusters("abc"))
    head.save(tmp_path)
    again = Head.load(tmp_path)
    assert again.labels == head.labels
    np.testing.assert_array_equal(again.weight, head.weight)
    np.testing.assert_array_equal(again.bias, head.bias)


def test_broken_heads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read"):
        Head.load(tmp_path)
    fit_head(*clusters("abc")).save(tmp_path)
    for labels in (["a", "b"], ["a", "c", "b"]):
        (tmp_path / "labels.json").write_text(json.dumps(labels))
        with pytest.raises(ModelError, match="do not belong together"):
            Head.load(tmp_path)
    for labels in ([None, "a"], "ab", {"a": 0}, [1, 2]):
        (tmp_path / "labels.json").write_text(json.dumps(labels))
        with pytest.raises(ModelError, match="labels of the head are not names"):
            Head.load(tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"half a fi")
    with pytest.raises(ModelError, match="cannot be read"):
        Head.load(tmp_path)


# -- classifier ---------------------------------------------------------------------------


@pytest.fixture
def model(tiny: Encoder) -> TextClassifier:
    return TextClassifier(
        tiny, fit_head(tiny.encode(TEXTS), ["pay", "sky", "play", "sky", "none", "play"])
    )


def test_a_model_survives_the_disk_and_shares_its_encoder(
    model: TextClassifier, tmp_path: Path
) -> None:
    model.save(tmp_path / "v1")
    model.save(tmp_path / "v2")
    first, second = TextClassifier.load(tmp_path / "v1"), TextClassifier.load(tmp_path / "v2")
    assert said(first, TEXTS) == said(model, TEXTS)
    assert said(model, TEXTS)[0][0] == "pay"
    assert first.encoder is second.encoder is model.encoder


def test_a_local_encoder_travels_with_its_model(
    model: TextClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path / "v1")
    shutil.move(tmp_path / "v1", tmp_path / "elsewhere")
    monkeypatch.setattr(encoder, "_kept", type(encoder._kept)())  # another process
    again = TextClassifier.load(tmp_path / "elsewhere")
    assert again.encoder is not model.encoder
    assert said(again, TEXTS) == said(model, TEXTS)
    again.save(tmp_path / "v2")
    assert (tmp_path / "v2" / "encoder" / "model.safetensors").exists()


def test_a_public_encoder_is_only_named(minilm: Encoder, tmp_path: Path) -> None:
    TextClassifier(minilm, fit_head(minilm.encode(TEXTS[:2]), ["pay", "sky"])).save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "encoder.json",
        "head.safetensors",
        "labels.json",
    ]
    assert json.loads((tmp_path / "encoder.json").read_text()) == {
        "name": DEFAULT,
        "identity": minilm.identity,
        "max_tokens": 128,
        "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "runtime": "torch",
    }
    assert TextClassifier.load(tmp_path).encoder is minilm


def test_another_encoder_than_the_one_it_was_trained_on_is_refused(
    model: TextClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path)
    monkeypatch.setattr(encoder, "_kept", type(encoder._kept)())
    save_tiny_encoder(tmp_path / "encoder", seed=1)
    with pytest.raises(ModelError, match="not the one this model was trained on"):
        TextClassifier.load(tmp_path)


def test_half_a_model_is_refused(tiny: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a saved model"):
        TextClassifier.load(tmp_path)
    with pytest.raises(ModelError, match="no head yet"):
        TextClassifier(tiny).answer(["rain"])


def test_a_model_answers_in_the_labels_of_a_moment(model: TextClassifier) -> None:
    """And no text is read again for that; the next one starts without the labels that are gone."""
    read = model.embed(TEXTS)
    reads = model.encoder.reads
    merged = LabelSet((Operation("merge", ("play", "sky"), ("fun",)), Operation("retire", ("none",))))
    now = model.under(merged)
    assert (model.labels, now.labels) == (["none", "pay", "play", "sky"], ["fun", "pay"])
    answers = now.answer(TEXTS, read)
    assert [a.output for a in answers] == ["pay", "fun", "fun", "fun", "fun", "fun"]
    shares = now.probabilities(read)
    for answer, share, row in zip(answers, shares, read, strict=True):
        assert answer.confidence == share.max()
        assert answer.detail.probabilities.tolist() == share.astype(np.float16).tolist()
        assert answer.embedding is row or (answer.embedding == row).all()
    assert now.under(merged) is now
    assert said(now.under(LabelSet()), TEXTS) == said(model, TEXTS)
    assert model.start(merged, "torch").labels == ["pay"]
    assert model.encoder.reads == reads + 2 * len(TEXTS)


def test_rooms_need_no_more_of_a_model_than_the_protocol_says(tiny: Encoder) -> None:
    model: Model = TextClassifier(tiny)
    assert (model.identity, model.embed([]).shape) == (tiny.identity, (0, tiny.dim))
    assert model.unknown(["pay zebra"]).tolist() == tiny.tokens.unknown(["pay zebra"]).tolist()
    assert isinstance(
        TextClassifier(tiny, Head(["a"], np.zeros((1, tiny.dim)), np.zeros(1))), Classifier
    )
