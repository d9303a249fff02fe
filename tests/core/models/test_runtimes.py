"""Runtimes: the same encoder in torch and in ONNX, each known by its name, none mistaken for another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError
from core.models.classifier import encoder as encoders
from core.models.classifier import export, runtimes
from core.models.classifier.agreement import agreement
from core.models.classifier.encoder import Encoder, load_encoder
from core.models.classifier.export import calibration
from core.models.classifier.finetune import Tuning, finetune
from core.models.classifier.head import Head, fit_head
from core.models.classifier.model import TextClassifier, packages
from core.models.classifier.runtimes import RUNTIMES, Runtime
from tests.core.models.tiny import WORDS, said, save_tiny_encoder

RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS.split(), n)) for n in RNG.integers(1, 30, 150)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_encoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=RUNTIMES)
def encoder(request: pytest.FixtureRequest, tiny: str) -> Encoder:
    return load_encoder(tiny, 64, request.param)


@pytest.fixture(scope="module")
def int8(tiny: str) -> Encoder:
    return load_encoder(tiny, 64, "onnx-int8")


@pytest.fixture(scope="module")
def expected(tiny: str) -> np.ndarray:
    return load_encoder(tiny, 64).encode(TEXTS).astype(np.float32)


def test_a_runtime_is_part_of_the_identity(tiny: str) -> None:
    named = [load_encoder(tiny, 64, r).identity.split("/")[-2] for r in RUNTIMES]
    assert named == ["torch-fp32", "torch-bf16", "onnx-fp32", "onnx-int8"]


def test_every_runtime_gives_nearly_torchs_vectors(encoder: Encoder, expected: np.ndarray) -> None:
    far = {"torch": 0.0, "onnx": 5e-4, "torch-bf16": 0.02, "onnx-int8": 0.02}
    assert np.abs(encoder.encode(TEXTS) - expected).max() <= far[encoder.runtime]


def test_neighbours_do_not_change_a_text(encoder: Encoder) -> None:
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS]).astype(np.float32)
    close = 5e-4 if encoder.runtime != "torch-bf16" else 0.01
    for other in (encoder.encode(TEXTS), encoder.together(TEXTS), encoder.encode(TEXTS[:20])):
        np.testing.assert_allclose(other, alone[: len(other)], atol=close)


def test_many_threads_read_what_one_reads(encoder: Encoder) -> None:
    before, alone = encoder.reads, encoder.encode(TEXTS)
    parts = [TEXTS[at : at + size] for size in (1, 7, 20, 50) for at in range(0, 150, size)]
    with ThreadPoolExecutor(6) as threads:
        read = list(threads.map(encoder.encode, parts))
    assert encoder.reads - before == 5 * len(TEXTS)
    close = 5e-4 if encoder.runtime != "torch-bf16" else 0.01
    np.testing.assert_allclose(np.concatenate(read), np.tile(alone, (4, 1)), atol=close)


def test_reading_leaves_torchs_threads_as_they_were(tiny: str) -> None:
    import torch

    load_encoder(tiny, 64).encode(TEXTS)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == torch.get_num_threads()


def test_no_texts_and_an_empty_text_are_read(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert np.isfinite(encoder.encode(["", "x" * 5000])).all()


def test_an_export_is_made_once_by_content(int8: Encoder, tmp_path: Path) -> None:
    made = int8.file.stat()
    int8.copy_files(tmp_path)
    again = load_encoder(str(tmp_path), 64, "onnx-int8")
    assert again.file == int8.file
    assert (again.file.stat().st_ino, again.file.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert not list(int8.file.parent.glob("*.half"))
    assert load_encoder(save_tiny_encoder(tmp_path / "b", seed=1), 64, "onnx-int8").file != int8.file


def test_a_broken_export_says_what_to_do(
    int8: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path))
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / int8.file.name).write_bytes(b"half a fi")
    with pytest.raises(ModelError, match=r"(?s)exported encoder cannot be read.*remove that file"):
        load_encoder(int8.name, 64, "onnx-int8")


@pytest.mark.slow
def test_an_export_that_is_another_encoder_is_refused(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path))
    monkeypatch.setattr(export, "EXACT", -1.0)
    with pytest.raises(ModelError, match=r"cannot be exported to ONNX\n.*\n.*everloop: numbers differ"):
        load_encoder(tiny, 64, "onnx")
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_missing_package_is_named(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(ModelError, match=r"(?s)no no_such_package.*pip install 'everloop\[onnx\]'"):
        load_encoder(tiny, 64, "onnx")


def test_an_unknown_runtime_is_refused(tiny: str) -> None:
    with pytest.raises(ModelError, match=r"(?s)no such runtime.*tensorrt.*torch, torch-bf16"):
        load_encoder(tiny, 64, "tensorrt")  # type: ignore[arg-type]


# -- agreement ----------------------------------------------------------------------------


def test_labels_that_hang_on_a_hair_are_refused_with_numbers(
    int8: Encoder, expected: np.ndarray
) -> None:
    read = int8.encode(TEXTS).astype(np.float32)
    off = int(np.abs(read - expected).sum(axis=1).argmax())
    way = (read - expected)[off] * 1e4
    head = Head(
        ["no", "yes"], np.stack([0 * way, way]), np.array([0, -way @ (read + expected)[off] / 2])
    )
    told = agreement(head, int8, TEXTS, expected)
    assert not told.passed
    assert str(told).startswith(f"onnx-int8 gives torch's label on {told.alone:.2%} of 150 texts alone")


def test_labels_far_apart_agree_on_every_runtime(encoder: Encoder, expected: np.ndarray) -> None:
    labels = ["long" if len(t.split()) > 15 else "short" for t in TEXTS]
    told = agreement(fit_head(expected, labels), encoder, TEXTS, expected)
    assert told.rows == 150
    assert told.worst > 0.95


# -- classifiers --------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["torch-bf16", "onnx-int8"])
def test_a_model_keeps_its_runtime_on_the_disk(
    runtime: Runtime, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(tiny, 64, runtime)
    model = TextClassifier(encoder, fit_head(encoder.encode(TEXTS[:3]), ["a", "b", "c"]))
    model.save(tmp_path)
    monkeypatch.setattr(encoders, "_kept", type(encoders._kept)())  # another process
    again = TextClassifier.load(tmp_path)
    assert (again.encoder.runtime, again.encoder.identity) == (runtime, encoder.identity)
    assert said(again, TEXTS) == said(model, TEXTS)
    assert packages(tmp_path) == (() if runtime == "torch-bf16" else runtimes.PACKAGES)


@pytest.mark.slow
def test_a_tuned_encoder_stays_on_its_runtime(tiny: str) -> None:
    encoder, words = load_encoder(tiny, 64, "onnx-int8"), TEXTS[:12]
    labels = ["long" if len(t.split()) > 15 else "short" for t in words]
    head = fit_head(encoder.encode(words), labels)
    tuned = finetune(encoder, head, words, labels, Tuning(1, 1e-3, 4))
    assert (tuned.runtime, tuned.local, tuned.file != encoder.file) == ("onnx-int8", True, True)
    near = tuned.on("torch").encode(words).astype(np.float32)
    np.testing.assert_allclose(tuned.encode(words), near, atol=0.02)


def test_a_model_moves_to_another_runtime_and_back(tiny: str) -> None:
    encoder = load_encoder(tiny, 64)
    model = TextClassifier(encoder, fit_head(encoder.encode(TEXTS[:3]), ["a", "b", "c"]))
    moved = model.on("onnx")
    assert (moved.encoder.runtime, moved.head) == ("onnx", model.head)
    assert moved.on("torch").encoder.identity == encoder.identity
    assert model.on("torch") is model


def test_every_calibration_text_is_one_line_and_there_is_but_one_of_it() -> None:
    texts = calibration()
    assert len(texts) == len(set(texts)) > 150
    assert all(text == text.strip() for text in texts)
