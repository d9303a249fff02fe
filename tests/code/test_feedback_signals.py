"""Signals of what users say, and of labels: exact numbers, who is judged by which label."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from core.records import Array, Signal, Window
from monitoring import Monitoring
from monitoring.accuracy import macro_f1
from monitoring.alerts import broken
from monitoring.examples import hard_examples
from monitoring.signals import accuracy, estimated, feedback
from monitoring.view import Model, View
from tests.laws.traffic import DAY, LABELS, NOW, before, today, traffic


def classify(rows: Array) -> Array:
    return np.asarray(rows[:, :3])


def view(window: Window, reference: Window, version: str = "1", **more: object) -> View:
    model = Model(version, LABELS, frozenset(LABELS), "minilm", classify)
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
    window = today(label="refund")
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


def test_a_new_model_is_judged_by_all_audit_rows_and_asked_again() -> None:
    """Version 1 answered, all wrong; version 2 reads the stored embeddings and is right."""
    window = today(label="nonsense")
    right = {n: i for i, n in enumerate(LABELS)}
    truth = window.rows["truth"].map(right)
    embeddings = np.zeros_like(window.embeddings)
    embeddings[np.arange(400), truth.fillna(0).astype(int)] = 1.0
    window = replace(window, embeddings=embeddings)
    found = measured(accuracy.measure, view(window, window.take(np.zeros(0, dtype=int)), "2"))
    assert found["accuracy.audit"].value == 1.0
    assert found["accuracy.audit"].note == (
        "80 labels of model_version 2, 80 of them answered again by it"
    )
    assert found["f1.audit"].value == 1.0
    assert found["accuracy.ipw"].note == "not enough labels of model_version 2: 0, 10 needed"


@pytest.mark.parametrize(
    ("chance", "value", "note"),
    [
        (1.0, None, "not enough labels: 12 labels stand for 12 of 400 answers"),
        (0.03, 0.0, "12 labels of model_version 1"),
    ],
    ids=["each for itself", "each for many"],
)
def test_labels_that_stand_for_few_answers_say_nothing_of_the_others(chance, value, note) -> None:
    """Doubtful answers that were certain to be picked, all of them wrong, beside 388 others."""
    window = today(label="nonsense")
    labelled = np.arange(400) < 12
    rows = window.rows.assign(
        truth=window.rows["truth"].where(labelled),
        propensity=np.where(labelled, chance, np.nan),
        audit=False,
    )
    rows.loc[labelled, "truth"] = "refund"
    window = replace(window, rows=rows)
    found = measured(accuracy.measure, view(window, window.take(np.zeros(0, dtype=int))))
    assert (found["accuracy.ipw"].value, found["accuracy.ipw"].note) == (value, note)


def test_a_new_encoder_is_not_asked_about_rows_of_the_old() -> None:
    given = view(today(encoder="old"), before(encoder="old"), "2")
    found = measured(accuracy.measure, given)
    assert {s.note for s in found.values()} == {"not enough labels of model_version 2: 0, 10 needed"}


def test_only_labels_of_the_last_days_count() -> None:
    old = traffic(NOW - 40 * DAY, 10, 500)
    found = measured(accuracy.measure, view(today(), before(), labelled=old))
    assert found["accuracy.audit"].note.startswith("not enough labels of model_version 1: 0")


def test_macro_f1_counts_every_label_the_same() -> None:
    truth = np.array(["a"] * 98 + ["b"] * 2)
    found = macro_f1(truth, np.array(["a"] * 100))
    assert found.value == pytest.approx((2 * 98 / 198 + 0) / 2)
    assert found.low <= found.value <= found.high


def test_estimates_of_made_traffic_find_its_truth() -> None:
    """Nine in ten are right, whatever the confidence; one label in five."""
    found = measured(estimated.measure, view(today(), before()))
    powered = found["accuracy.powered"]
    assert found["accuracy.estimated"].value == pytest.approx(0.9, abs=0.03)
    assert powered.value == pytest.approx(0.9, abs=0.03)
    assert powered.low < 0.9 < powered.high
    assert powered.baseline == 0.8
    assert powered.note.startswith("640 labels of 14 days, chances trusted")


@pytest.mark.parametrize(("right", "alarms"), [(0.5, 1), (0.9, 0)])
def test_powered_accuracy_alarms_by_its_whole_interval_and_the_estimate_never(right, alarms) -> None:
    def of(window: Window) -> Window:
        rng = np.random.default_rng(0)
        other = window.rows["label"].map(dict(zip(LABELS, LABELS[1:] + LABELS[:1], strict=True)))
        truth = window.rows["label"].where(rng.random(len(window)) < right, other)
        rows = window.rows.assign(truth=truth.where(window.rows["truth"].notna(), None))
        return replace(window, rows=rows)

    signals = list(estimated.measure(view(of(today()), of(before()))))
    assert [s.name for s in signals if broken(s)] == ["accuracy.powered"] * alarms


def test_labels_that_nobody_drew_do_not_correct() -> None:
    found = measured(estimated.measure, view(today(propensity=np.nan), before(propensity=np.nan)))
    assert found["accuracy.powered"].note == "not enough labels: 0 that were drawn, 10 needed"
    assert found["accuracy.estimated"].value is not None


def test_hard_examples_are_lists_of_requests() -> None:
    window = today()
    given = view(window, before(), feedback=told(window, "down", range(3)))
    (found,) = hard_examples(given, NOW)
    lists = found.evidence
    sure = window.rows.set_index("request_id").loc[lists["wrong-and-sure"]]
    assert (sure["label"] != sure["truth"]).all()
    assert sure["score"].is_monotonic_decreasing
    assert sorted(lists["complained"]) == [f"r-0-12-{i}" for i in range(3)]
    assert any(" taken for " in name for name in lists)
    assert found.reason.startswith(f"{len(sure)} wrong-and-sure, 3 complained, ")
    assert hard_examples(view(window.take(np.zeros(0, dtype=int)), before()), NOW) == []
