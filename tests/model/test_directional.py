"""DIR: what must move the probability of a label, and which way."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from pipelines.testing.expectations import ContenderAnswers, suite

Ask = Callable[[list[str]], ContenderAnswers]


@pytest.mark.parametrize("name", ["DIR-agreement", "DIR-mixture"])
def test_dir_the_suite_holds(ask: Ask, fixed: pd.DataFrame, name: str) -> None:
    family = next(f for f in suite(fixed, max_probes=50, seed=0) if f.name == name)
    result = family.check(ask([p.text for p in family.probes]), None, max_failed=0.0, max_more=0.0)
    assert result.rows == 5
    assert result.failed == 0, result.examples


def test_dir_saying_more_of_it_makes_it_more_likely(ask: Ask) -> None:
    vague, clear = "it is about my order", "it is about my order, i want to cancel it"
    answers = ask([vague, clear])
    assert answers.chance(clear, "cancel_order") > answers.chance(vague, "cancel_order")


def test_dir_taking_it_back_makes_it_less_likely(ask: Ask) -> None:
    plain, other = "when do you open", "when do you open my refund case"
    answers = ask([plain, other])
    assert answers.chance(other, "opening_hours") < answers.chance(plain, "opening_hours")
