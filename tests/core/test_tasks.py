"""A task is the seam between families of models; what params.yaml chooses must be for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import params
from core.arrays import Array
from core.errors import ParamsError
from core.records.windows import Window
from core.tasks import Classification, Task, fits
from core.workspace import Workspace
from everloop.init import init
from flows.fits import check_task
from flows.strategy import Strategy
from pipelines.training.head import HeadRecipe
from tests.logs import NOW


class Echo:
    """Another task: an answer is right as far as it is as long as the truth."""

    name = "echo"
    protocols = ("own",)

    def render(self, input: Any, /) -> str:
        return str(input)

    def judge(self, output: str, target: str | None, /) -> float | None:
        return None if target is None else min(len(output), len(target)) / max(len(output), len(target))

    def doubt(self, answers: Window, /) -> Array:
        return np.zeros(len(answers))

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
def test_a_task_judges_what_somebody_knows_the_truth_of(task: Task) -> None:
    assert task.judge("refund", "refund") == 1
    assert task.judge("refund", "pay") == pytest.approx(0 if task.name != "echo" else 0.5)
    assert task.judge("refund", None) is None


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
