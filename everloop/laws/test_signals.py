"""Laws that hold for every class of signals of another package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.arrays import Array
from core.records.windows import Window
from everloop.laws.members import every
from everloop.laws.traffic import LABELS, before, today
from monitoring import Monitoring
from monitoring.hooks import Measurement, MeasurementPolicy, told
from monitoring.view import ServedModel, View


def classify(rows: Array) -> Array:
    return rows[:, :3]


def view(window: Window, reference: Window) -> View:
    model = ServedModel("1", LABELS, frozenset(LABELS), "minilm", classify)
    return View(window, reference, model=model, settings=Monitoring())


def cut(window: Window, rows: int) -> Window:
    return window.take(np.arange(rows))


ODD = {
    "one row": lambda: view(cut(today(), 1), before()),
    "no rows before": lambda: view(today(), cut(before(), 0)),
    "no embeddings": lambda: view(replace(today(), embeddings=np.zeros((400, 0))), before()),
    "empty texts": lambda: view(today(text=""), before(text="")),
    "no truth": lambda: view(today(truth=None, audit=False), before(truth=None, audit=False)),
    "another version": lambda: view(today(model_version="2", label="cancel"), before()),
}


@every(MeasurementPolicy)
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_window_is_told_of(policy: Measurement, odd: str) -> None:
    given = ODD[odd]()
    found, fault = told(policy.policy, lambda: policy.measure(given))
    assert (fault, bool(found)) == ("", True)


@every(MeasurementPolicy)
def test_the_same_window_gives_the_same_numbers_in_any_order_and_is_not_changed(
    policy: Measurement,
) -> None:
    window, reference = today(), before()
    given = view(window, reference)
    one = told(policy.policy, lambda: policy.measure(given))
    assert window.rows.equals(today().rows)
    assert reference.rows.equals(before().rows)
    mixed = np.random.default_rng(7).permutation
    ours, theirs = (w.take(mixed(len(w))) for w in (window, reference))
    shuffled = view(ours, theirs)
    two = told(policy.policy, lambda: policy.measure(shuffled))
    assert one[0].keys() == two[0].keys()
    for name, value in one[0].items():
        assert two[0][name] == (None if value is None else pytest.approx(value, rel=1e-6))
