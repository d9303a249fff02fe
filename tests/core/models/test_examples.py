from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, ModelError
from core.json_form import JsonForm
from core.models.causal.examples import FILE, Examples
from core.models.causal.model import CausalModel
from core.models.causal.packing import Demonstrations, near_groups, sequences
from core.models.causal.renaming import renamed
from core.models.classifier.encoder import Encoder, load_encoder
from core.records.answers import GenerationDetail
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal

CALLS = [
    '{"name": "alarm_set", "arguments": {"time": "five"}}',
    '{"name": "alarm_set", "arguments": {"time": "six"}}',
    '{"name": "cab", "arguments": {"place": "home"}}',
]
TEXTS = ["wake me at five", "wake me at six", "drive me home"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> CausalModel:
    return replace(tiny_causal(tmp_path_factory.mktemp("tiny"), encoder), max_new_tokens=12)


def with_examples(model: CausalModel, inputs: list[str], targets: list[str], shots: int) -> CausalModel:
    return replace(model, examples=Examples(inputs, targets, model.embed(inputs)), shots=shots)


def test_the_nearest_example_stands_last_and_of_two_alike_the_newer() -> None:
    made = Examples(
        ["east", "north", "east again"], ["a", "b", "c"], np.array([[1, 0], [0, 1], [2, 0]], np.float16)
    )
    assert made.near(np.array([[1, 0.1]]), 2) == [[2, 0]]
    assert made.near(np.array([[0, 1.0]]), 5) == [[1, 2, 0]]
    assert made.shown("where?", [2, 0]) == [
        {"role": "user", "content": "east"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "east again"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "where?"},
    ]


def test_a_system_prompt_stands_before_the_examples() -> None:
    made = Examples(["one"], ["1"], np.ones((1, 2), np.float16))
    asked = [{"role": "system", "content": "Count."}, {"role": "user", "content": "two"}]
    assert [m["content"] for m in made.shown(asked, [0])] == ["Count.", "one", "1", "two"]


def test_a_model_reads_its_examples_and_is_the_same_when_loaded(
    model: CausalModel, tmp_path: Path
) -> None:
    taught = with_examples(model, ["pay", "rain"], ["money", "water"], shots=2)
    taught.save(tmp_path)
    plain, first, again = (m.answer(["pay"])[0] for m in (model, taught, CausalModel.load(tmp_path)))
    assert isinstance(plain.detail, GenerationDetail)
    assert isinstance(first.detail, GenerationDetail)
    assert first.detail.prompt_tokens > plain.detail.prompt_tokens
    assert (first.output, first.detail.prompt_tokens) == (again.output, again.detail.prompt_tokens)  # type: ignore[union-attr]


def test_examples_make_room_for_the_answer_and_the_request_is_never_cut(model: CausalModel) -> None:
    taught = with_examples(model, ["pay " * 9, "rain"], ["money", "water"], shots=2)
    context = model.lm.prompts.context
    for words in range(1, 12):
        (answer,) = taught.answer(["card " * words])
        assert answer.detail.prompt_tokens + 12 <= context  # type: ignore[union-attr]
    with pytest.raises(InputError, match="longer than the model's context"):
        taught.answer(["card " * 200])


def test_broken_examples_are_one_error(model: CausalModel, tmp_path: Path) -> None:
    with_examples(model, ["pay"], ["money"], shots=1).save(tmp_path)
    (tmp_path / FILE).write_bytes(b"PAR1 broken")
    with pytest.raises(ModelError, match="examples of this model cannot be read"):
        CausalModel.load(tmp_path)


def test_groups_hold_every_row_once_with_its_nearest() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(5), 4, axis=0)
    rows = centres + rng.normal(0, 0.01, centres.shape)
    groups = list(near_groups(rows, 4, random.Random(0)))
    assert sorted(i for g in groups for i in g) == list(range(20))
    assert {tuple(sorted(g)) for g in groups} == {tuple(range(i, i + 4)) for i in range(0, 20, 4)}


def test_a_sequence_is_a_chat_whose_answers_alone_are_learnt(model: CausalModel) -> None:
    prompts = model.lm.prompts
    rows = Demonstrations(["a", "b"], ["1", "2"], np.ones((2, 2)))
    (made,) = sequences(prompts, rows, examples=3, rename=0.0, seed=0)
    said = [t for t, learnt in zip(made.tokens, made.learnt, strict=True) if learnt]
    whole = prompts.tokenizer.decode(made.tokens)
    assert whole in (
        "<user>a</s><assistant>1</s><user>b</s><assistant>2</s>",
        "<user>b</s><assistant>2</s><user>a</s><assistant>1</s>",
    )
    assert prompts.tokenizer.decode(said) in ("1</s>2</s>", "2</s>1</s>")
    assert sequences(prompts, rows, 3, 0.0, 0) == [made]


def test_rows_too_long_for_one_sequence_are_one_each_and_a_longer_one_is_an_error(
    model: CausalModel,
) -> None:
    prompts = model.lm.prompts
    rows = Demonstrations(["a" * 70, "b" * 70], ["1", "2"], np.ones((2, 2)))
    assert len(sequences(prompts, rows, 1, 0.0, 0)) == 2
    with pytest.raises(InputError, match="a row is longer than the model's context"):
        sequences(prompts, Demonstrations(["a" * 200], ["1"], np.ones((1, 2))), 1, 0.0, 0)


def test_new_names_are_the_same_in_a_group_and_learnt_only_where_they_can_be_known() -> None:
    form = JsonForm.of(TEXTS, CALLS)
    made = renamed(CALLS, form, ["moon", "tree", "lake"], random.Random(3))
    one, two, three = (json.loads(text) for text, _ in made)
    assert [known for _, known in made] == [False, True, True]
    assert one["name"] == two["name"] != "alarm_set"
    assert list(one["arguments"]) == list(two["arguments"]) != ["time"]
    assert [*one["arguments"].values(), *two["arguments"].values()] == ["five", "six"]
    assert three == json.loads(CALLS[2])  # its names come once: nobody could read them anywhere


def test_what_is_no_json_object_keeps_its_words() -> None:
    said = ["fine", "[1]", "fine"]
    assert renamed(said, JsonForm(), ["moon"], random.Random(0)) == [(text, True) for text in said]
