"""A task is the seam between families of models; what params.yaml chooses must be for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import yaml

from core import params
from core.errors import InputError, ParamsError
from core.records.windows import Window
from core.tasks import Classification, Generation, Task, fits
from core.workspace import Workspace
from everloop.init import init
from flows.fits import check_task
from flows.strategy import Strategy
from pipelines.training.head import HeadRecipe
from tests.logs import NOW


class Echo(Classification):
    """Another task: an answer is right as far as it is as long as the truth."""

    policy: Literal["echo"] = "echo"

    def score(self, output: str, target: str | None, /) -> float | None:
        return None if target is None else min(len(output), len(target)) / max(len(output), len(target))

    def agree(self, one: str, other: str, /) -> bool:
        return len(one) == len(other)


@pytest.fixture
def window() -> Window:
    two, three = np.array([0.75, 0.25]), np.array([0.5, 0.25, 0.25])
    rows = pd.DataFrame({"request_id": ["a", "b"]})
    return Window(NOW, NOW, rows, np.zeros((2, 4)), [two, three])


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return init(tmp_path / "shop")


def strategy_of(place: Workspace) -> Strategy:
    return params.load(place.params, Strategy)


@pytest.mark.parametrize("task", [Classification(), Echo()])
def test_a_task_scores_what_somebody_knows_the_truth_of(task: Task) -> None:
    assert task.score("refund", "refund") == 1
    assert task.score("refund", "pay") == pytest.approx(0 if task.policy != "echo" else 0.5)
    assert task.score("refund", None) is None


def test_doubt_is_what_the_best_probability_leaves(window: Window) -> None:
    assert Classification().doubt(window).tolist() == [0.25, 0.5]


def test_a_part_that_names_tasks_fits_no_other() -> None:
    assert fits(HeadRecipe, Classification())
    assert not fits(HeadRecipe, Echo())
    assert fits(Window, Echo())


def test_what_params_chooses_fits_the_task(place: Workspace) -> None:
    check_task(place, strategy_of(place), Classification())


def test_what_is_for_another_task_is_refused_all_at_once(place: Workspace) -> None:
    text = place.params.read_text(encoding="utf-8")
    rule = "monitoring:\n  rules: [{policy: range, signal: entropy, high: 0.5}]\n"
    place.params.write_text(text.replace("monitoring:\n", rule, 1), encoding="utf-8")
    with pytest.raises(ParamsError, match="names 2 things that are not for echo") as told:
        check_task(place, strategy_of(place), Echo())
    assert ", training.policy: 'head' is for classification\n" in str(told.value)
    assert ", monitoring.rules.0.signal: 'entropy' is a signal of classification\n" in str(told.value)
    assert "parts that are for echo" in str(told.value)


def of_task(place: Workspace, section: str) -> None:
    written = yaml.safe_load(place.params.read_text(encoding="utf-8"))
    written["task"] = yaml.safe_load(section)
    place.params.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")


CALL = '{"name": "alarm_set", "arguments": {"time": "five pm", "days": [1, true]}}'


@pytest.mark.parametrize(
    ("judge", "output", "score"),
    [
        ("exact", f" {CALL}\n", 1.0),
        ("exact", "{}", 0.0),
        ("json", '{"arguments": {"days": [1, true], "time": "five pm"}, "name": "alarm_set"}', 1.0),
        ("json", CALL.replace("[1, true]", "[true, 1]"), 0.0),
        ("json", CALL[:-1], 0.0),
        ("json", f"Sure! {CALL}", 0.0),
        ("json", "NaN", 0.0),
        ("json", "[" * 100_000, 0.0),
        ("words-f1", CALL, 1.0),
        ("words-f1", "alarm", 0.0),
        ("chrf", CALL, 1.0),
        ("os.path:join", "/", None),
    ],
)
def test_a_judge_says_how_right_an_answer_is(judge: str, output: str, score: float | None) -> None:
    if score is None:
        with pytest.raises(ParamsError, match="the function that judges cannot be used"):
            Generation(judge=judge).score(output, "/")
    else:
        assert Generation(judge=judge).score(output, CALL) == pytest.approx(score)


def test_a_schema_judges_the_form_alone() -> None:
    named = {"type": "object", "required": ["name"]}
    task = Generation(judge="schema", json_schema=named)
    assert (task.score(CALL, "{}"), task.score("{}", CALL), task.score("x", CALL)) == (1.0, 0.0, 0.0)
    assert task.fault('{"name": 1}') == ""
    why = "$: 'name' is a required property"
    assert task.fault("{}") == f"does not keep to task.json_schema: {why}"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{policy: generation, judge: rouge}", "task.judge: got 'rouge', expected one of exact, json"),
        ("{policy: generation, judge: schema}", "expected a json_schema beside judge: schema"),
        ("{policy: generation, json_schema: {type: 1}}", r"task.json_schema: .*a JSON Schema; \$.type"),
        ("{policy: generatoin}", "task.policy: got 'generatoin', expected one of .*mean 'generation'"),
        ("{policy: classification, judge: json}", "task.judge: unknown key"),
    ],
)
def test_a_fault_in_the_task_is_told_with_its_line(place: Workspace, section: str, words: str) -> None:
    of_task(place, section)
    with pytest.raises(ParamsError, match=words):
        strategy_of(place)


def test_a_judge_of_somebody_else_is_code_that_is_trusted_first(place: Workspace) -> None:
    of_task(place, "{policy: generation, judge: 'mine:right'}")
    assert strategy_of(place).code == {"task.judge": "mine:right"}


@pytest.mark.parametrize(
    ("cell", "target"),
    [
        (CALL, CALL),
        ({"name": "x", "arguments": {}}, '{"name": "x", "arguments": {}}'),
        ("", "no answer"),
        (None, "no answer"),
        ("{", "the answer is no JSON: Expecting property name"),
    ],
)
def test_an_answer_in_a_file_is_taken_as_it_is_written(cell: Any, target: str) -> None:
    task = Generation(judge="json")
    try:
        assert task.target(cell) == target
    except ValueError as why:
        assert str(why).startswith(target)  # noqa: PT017


def test_doubt_of_what_was_written_is_that_of_its_least_likely_token(window: Window) -> None:
    window.rows["min_logprob"] = [np.log(0.25), None]
    assert Generation().doubt(window).tolist() == pytest.approx([0.75, 1.0])


def test_messages_are_shown_without_the_systems() -> None:
    parts = [{"type": "text", "text": "and"}]
    said = [("system", "Be brief."), ("user", "hi"), ("assistant", None), ("user", parts)]
    assert Generation().render([{"role": r, "content": c} for r, c in said]) == "hi\n\nand"
    image = [{"role": "user", "content": [*parts, {"type": "image_url", "image_url": {}}]}]
    with pytest.raises(InputError, match="a part of a message that is no text"):
        Generation().render(
            image
        )  # left out without a word, it would be answered as if it were not there


def test_a_model_is_held_to_a_schema_where_that_is_set() -> None:
    with pytest.raises(ValueError, match="a json_schema beside constrain: true"):
        Generation(constrain=True)
    assert Generation(json_schema={"type": "object"}).answer_schema is None
    held = Generation(json_schema={"type": "object"}, constrain=True)
    assert held.answer_schema == {"type": "object"}
    assert Classification().answer_schema is None
