"""Accuracy of the newest window that has labels: which one it is, of what, and beside what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from core.records import Signal, Window
from monitoring import Monitoring
from monitoring.signals import last
from monitoring.view import Model, View
from tests.laws.traffic import DAY, LABELS, NOW, before, today, traffic


def view(newest: Window, reference: Window, **more: object) -> View:
    return View(
        newest, reference, Model("1", LABELS, frozenset(LABELS), "minilm"), Monitoring(), **more
    )


def measured(given: View) -> dict[str, Signal]:
    return {s.name.removeprefix("accuracy.last."): s for s in last.measure(given)}


def unlabelled(rows: Window) -> Window:
    columns = {"truth": None, "audit": False, "propensity": np.nan}
    return replace(rows, rows=rows.rows.assign(**columns))


def doubtful(rows: Window) -> Window:
    """Nine in ten wrong answers are picked and one in ten right ones: the picks are mostly wrong."""
    truth = np.where(np.arange(len(rows)) % 10 == 0, "other", rows.rows["label"])
    chance = np.where(truth == "other", 0.9, 0.1)
    picked = np.random.default_rng(3).random(len(rows)) < chance
    columns = {
        "truth": np.where(picked, truth, None),
        "audit": False,
        "propensity": np.where(picked, chance, np.nan),
    }
    return replace(rows, rows=rows.rows.assign(**columns))


def test_even_labels_say_the_same_whichever_way() -> None:
    found = measured(view(today(), before()))
    assert found["picks"].value == pytest.approx(0.9, abs=0.07)
    assert found["picks"].low is None
    assert found["ipw"].value == found["picks"].value
    for name in ("ipw", "powered"):
        assert found[name].low < found["picks"].value < found[name].high
        assert found[name].note.startswith("80 labels of the window until 2026-01-13 00:00")
        assert found[name].baseline is None


def test_picks_for_being_doubtful_are_off_and_both_estimates_are_not() -> None:
    found = measured(view(doubtful(today(2000)), doubtful(before())))
    assert found["picks"].value < 0.6
    for name in ("ipw", "powered"):
        assert found[name].low < 0.9 < found[name].high
        assert found[name].value == pytest.approx(0.9, abs=0.05)


def test_the_window_just_over_has_no_labels_yet_so_it_is_the_one_before() -> None:
    found = measured(view(unlabelled(today()), before()))
    assert found["ipw"].note == "80 labels of the window until 2026-01-12 00:00"
    assert found["ipw"].window_end == NOW


def test_labels_long_ago_say_nothing_of_a_window() -> None:
    old = traffic(NOW - 30 * DAY, 7, 2800)
    given = view(unlabelled(today()), unlabelled(before()), labelled=old)
    for signal in measured(given).values():
        assert signal.value is None
        assert signal.note == (
            "not enough labels that were drawn: 3 of one window of the last 14 days needed"
        )


def test_answers_that_were_not_read_or_kept_are_counted() -> None:
    """Half of the rows were read: the labels are of twice as many answers, so nothing is nearly sure."""
    whole, half = view(today(), before()), view(today(), before())
    every = traffic(NOW - 8 * DAY, 8, 3200)
    labelled = every.take(every.rows["truth"].notna().to_numpy())
    some = replace(every.take(np.arange(0, 3200, 2)), share=0.5)
    whole = view(today(), before(), labelled=labelled, recent=every)
    half = view(today(), before(), labelled=labelled, recent=some)
    first, second = (measured(v)["ipw"] for v in (whole, half))
    assert second.value == pytest.approx(first.value)
    assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=0.02)


def test_every_segment_has_its_own() -> None:
    given = view(today(), before())
    found = [s for v in (given, *given.segments()) for s in last.measure(v)]
    found = [s for s in found if s.name == "accuracy.last.powered"]
    assert {s.segment for s in found} == {"", "plan=free", "plan=pro"}
    for signal in found:
        assert signal.low < signal.value <= signal.high
    labels = [int(s.note.split()[0]) for s in found]
    assert labels[0] == sum(labels[1:])


def test_a_window_of_hours() -> None:
    hours = traffic(NOW - timedelta(hours=6), 1, 400)
    short = replace(hours, start=NOW - timedelta(hours=6), end=NOW)
    keep = (short.rows["timestamp"] < NOW).to_numpy()
    found = measured(view(short.take(keep), before()))
    assert found["powered"].note.startswith("20 labels of the window until 2026-01-13 00:00")
