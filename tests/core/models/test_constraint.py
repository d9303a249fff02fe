"""Answers held to a JSON Schema, by a tiny model of random weights that would never write JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from core.errors import InputError
from core.models import families
from core.models.causal.model import CausalModel
from core.models.classifier.encoder import load_encoder
from core.records.answers import GenerationDetail
from core.records.writing import Decoding, Prompted
from tests.core.models.tiny import save_tiny_encoder
from tests.core.models.tiny_causal import tiny_causal

CALL = {
    "type": "object",
    "properties": {"room": {"$ref": "#/$defs/room"}},
    "required": ["room"],
    "additionalProperties": False,
    "$defs": {"room": {"type": "integer", "minimum": 1, "maximum": 20}},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    encoder = load_encoder(save_tiny_encoder(tmp_path_factory.mktemp("encoder")), 64)
    return replace(tiny_causal(tmp_path_factory.mktemp("tiny"), encoder), max_new_tokens=100)


def held(schema: Any, **more: Any) -> Decoding:
    return Decoding(response_format={"type": "json_schema", "json_schema": {"schema": schema}}, **more)


def detail(answer: Any) -> GenerationDetail:
    assert isinstance(answer.detail, GenerationDetail)
    return answer.detail


def test_held_and_free_answers_share_a_batch(model: CausalModel) -> None:
    free = [answer.output for answer in model.answer(["pay", "rain"])]
    drawn = [held(CALL, temperature=1.5, seed=seed) for seed in range(4)]
    asked = [Prompted("pay"), *(Prompted("pay", how) for how in (held(CALL), *drawn)), Prompted("rain")]
    first, *calls, last = model.answer(asked)
    assert [first.output, last.output] == free
    for call in calls:
        jsonschema.validate(json.loads(call.output), CALL)
        assert detail(call).finish_reason == "stop"
    assert len({call.output for call in calls}) > 1


def test_a_token_that_the_model_was_forced_to_is_doubtful(model: CausalModel) -> None:
    free, call = model.answer([Prompted("pay"), Prompted("pay", held(CALL))])
    likely, forced = detail(free).min_logprob, detail(call).min_logprob
    assert likely is not None
    assert forced is not None
    assert forced < likely


def test_a_version_holds_its_answers_to_its_schema(model: CausalModel, tmp_path: Path) -> None:
    families.held(model, CALL).save(tmp_path)
    kept = CausalModel.load(tmp_path)
    assert kept.schema == CALL
    text = Prompted("pay", Decoding(response_format={"type": "text"}))
    call, free, wish = kept.answer(["pay", text, Prompted("pay", held({"const": 7}))])
    jsonschema.validate(json.loads(call.output), CALL)
    assert free.output == model.answer(["pay"])[0].output
    assert wish.output == "7"


def test_an_answer_without_room_is_cut_within_its_schema(model: CausalModel) -> None:
    (call,) = model.answer([Prompted("pay", held({"const": "a long text"}, max_tokens=5))])
    assert (call.output, detail(call).finish_reason) == ('"a lo', "length")


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        pytest.param({"not": {"type": "string"}}, r'Unimplemented keys: \["not"\]', id="keyword"),
        pytest.param({"type": "string", "pattern": "(?=a)b"}, "look-around", id="pattern"),
        pytest.param({"$ref": "http://localhost/x"}, "does not fetch", id="fetch"),
    ],
)
def test_what_cannot_be_held_is_an_error(model: CausalModel, schema: Any, fault: str) -> None:
    with pytest.raises(InputError, match=f"(?s)cannot hold an answer.*{fault}"):
        model.answer([Prompted("pay", held(schema))])
