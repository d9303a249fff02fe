"""Signals of what users say: exact numbers, who is judged by which word."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from core.arrays import Array
from core.records.signals import Signal
from core.records.windows import Window
from everloop.laws.traffic import LABELS, NOW, before, today
from monitoring import Monitoring
from monitoring.accuracy.hard_examples import hard_examples
from monitoring.alerts.findings import broken
from monitoring.signals import feedback
from monitoring.view import ServedModel, View


def classify(rows: Array) -> Array:
    return np.asarray(rows[:, :3])


def view(window: Window, reference: Window, version: str = "1", **more: object) -> View:
    model = ServedModel(version, LABELS, frozenset(LABELS), "minilm", classify)
    return View(window, reference, model, Monitoring(), **more)


def told(
    window: Window, value: str, places: range, kind: str = "thumbs", late: int = 0
) -> pd.DataFrame:
    rows = window.rows.iloc[list(places)]
    return pd.DataFrame(
        {
            "feedback_id": [f"f-{kind}-{p}" for p in rows["prediction_id"]],
            "prediction_id": rows["prediction_id"].to_list(),
            "timestamp": [t + timedelta(minutes=1, days=late) for t in rows["timestamp"]],
            "kind": kind,
            "value": value,
            "source": "",
        }
    )


def down(ours: tuple[int, int], theirs: tuple[int, int]) -> View:
    """Thumbs: (down, up) on the window's and the reference's answers."""
    window, reference = today(), before()
    parts = [
        told(w, value, places)
        for w, (bad, good) in ((window, ours), (reference, theirs))
        for value, places in (("down", range(bad)), ("up", range(bad, bad + good)))
    ]
    return view(window, reference, feedback=pd.concat(parts, ignore_index=True))


def measured(measure: object, given: View) -> dict[str, Signal]:
    return {s.name: s for s in measure(given)}  # type: ignore[operator]


def test_the_share_of_thumbs_down_beside_what_it_was() -> None:
    found = measured(feedback.measure, down((10, 30), (20, 180)))["feedback.down"]
    assert found.value == 0.25
    assert (round(found.low, 3), round(found.high, 3)) == (0.142, 0.402)
    assert found.note == "10 of 40 thumbs; 10.0% over 200 of the reference (+15.0%)"
    share = 21 / 202
    assert found.baseline == pytest.approx(
        0.1 + 3.5 * np.sqrt(share * (1 - share) * (1 / 40 + 1 / 200))
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "alarms"),
    [((4, 36), (20, 180), 0), ((25, 15), (20, 180), 1), ((0, 40), (20, 180), 0), ((40, 0), (3, 2), 0)],
    ids=["as ever", "many more", "fewer", "nothing to hold it against"],
)
def test_many_more_thumbs_down_are_an_alert(ours, theirs, alarms) -> None:
    signals = list(feedback.measure(down(ours, theirs)))
    assert sum(broken(s) for s in signals) == alarms


def test_few_thumbs_and_no_feedback_say_nothing() -> None:
    few = measured(feedback.measure, down((2, 3), (0, 0)))["feedback.down"]
    assert (few.value, few.note) == (None, "not enough thumbs: 5, 10 needed")
    none = measured(feedback.measure, view(today(), before()))
    assert none["feedback.down"].note == "not enough thumbs: 0, 10 needed"
    assert none["feedback.corrections"].note == "not enough feedback: none was given"


def test_a_correction_to_another_label_counts_once_and_to_the_same_not_at_all() -> None:
    window = today(output="refund")
    twice = told(window, "invoice", range(8), "correction")
    same = told(window, "refund", range(8, 20), "correction")
    given = pd.concat([twice, twice.assign(feedback_id="again"), same], ignore_index=True)
    found = measured(feedback.measure, view(window, before(), feedback=given))["feedback.corrections"]
    assert found.value == 8 / 400
    assert found.note.startswith("8 of 400 answers; 0.0% over 2,800 of the reference")


def test_words_that_came_after_a_window_do_not_count_for_its_day() -> None:
    """Else the newest window, of which least was said so far, would look best."""
    window, reference = today(), before()
    late = told(reference, "down", range(100), late=2)
    given = pd.concat([told(window, "up", range(20)), late, told(reference, "up", range(100, 200))])
    found = measured(feedback.measure, view(window, reference, feedback=given))["feedback.down"]
    assert "0.0% over 100 of the reference" in found.note


def test_the_last_thumb_of_an_answer_is_what_the_user_meant() -> None:
    window = today()
    first, second = told(window, "down", range(20)), told(window, "up", range(20))
    second["timestamp"] += timedelta(minutes=5)
    given = pd.concat([second, first], ignore_index=True)
    assert (
        measured(feedback.measure, view(window, before(), feedback=given))["feedback.down"].value == 0
    )


def test_hard_examples_are_lists_of_requests() -> None:
    window = today()
    given = view(window, before(), feedback=told(window, "down", range(3)))
    (found,) = hard_examples(given, NOW)
    lists = found.evidence.stored()
    sure = window.rows.set_index("request_id").loc[lists["wrong-and-sure"]]
    assert (sure["output"] != sure["truth"]).all()
    assert sure["confidence"].is_monotonic_decreasing
    assert sorted(lists["complained"]) == [f"r-0-12-{i}" for i in range(3)]
    assert any(" taken for " in name for name in lists)
    assert found.reason.startswith(f"{len(sure)} wrong-and-sure, 3 complained, ")
    assert hard_examples(view(window.take(np.zeros(0, dtype=int)), before()), NOW) == []
