"""The signal `accuracy`: exact numbers of seeded traffic, whose answers it is of, when it is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.arrays import Array
from core.intervals import share
from core.records.signals import Signal
from core.records.windows import Window
from everloop.laws.traffic import DAY, LABELS, NOW, before, today, traffic
from everloop.laws.windows import scored
from monitoring import Monitoring
from monitoring.alerts.findings import broken
from monitoring.signals import accuracy
from monitoring.view import ServedModel, View
from pipelines.curation.mix import Mix
from pipelines.curation.pool import KnownRows, Pool
from pipelines.triggers.accuracy import Accuracy
from pipelines.triggers.trigger import Situation


def view(window: Window, reference: Window, version: str = "1", **more: object) -> View:
    model = ServedModel(version, LABELS, frozenset(LABELS), "minilm")
    return View(window, reference, model, Monitoring(), **more)


def measured(given: View) -> dict[tuple[str, str], Signal]:
    return {(s.name, s.segment): s for s in accuracy.measure(given)}


def live(given: View, segment: str = "") -> Signal:
    return measured(given)["accuracy", segment]


def labelled(window: Window, right: Array, chance: float, audit: bool = True) -> Window:
    """The first rows have labels, drawn with this chance: so many right and wrong ones."""
    n = len(right)
    truth = np.full(len(window), None, dtype=object)
    truth[:n] = np.where(right, window.rows["output"].to_numpy()[:n], "other")
    here = np.arange(len(window)) < n
    columns = {"truth": truth, "audit": here & audit, "propensity": np.where(here, chance, np.nan)}
    return replace(window, rows=scored(window.rows.assign(**columns)))


def nobody(window: Window) -> Window:
    return window.take(np.zeros(0, dtype=int))


def test_the_truth_of_made_traffic_is_found() -> None:
    """Nine in ten are right, whatever the confidence; one label in five."""
    found = measured(view(today(), before()))
    signal = found["accuracy", ""]
    assert signal.value == pytest.approx(0.9, abs=0.03)
    assert signal.low < 0.9 < signal.high
    assert signal.baseline == 0.8
    assert signal.note == "640 labels of 14 days, worth 640 drawn evenly; 3,200 answers"
    assert found["accuracy.estimated", ""].value == pytest.approx(0.9, abs=0.03)
    assert found["accuracy.estimated", ""].low is None


def test_even_labels_that_chances_add_nothing_to_have_wilsons_interval() -> None:
    window = labelled(today(output="refund", confidence=0.9), np.arange(20) < 18, 20 / 400)
    signal = live(view(window, nobody(window)))
    assert signal.value == pytest.approx(0.9, abs=0.01)
    low, high = share(18, 20)
    assert (signal.low, signal.high) == pytest.approx((low, high), abs=0.02)
    assert signal.high - signal.low <= high - low


def test_picks_for_being_doubtful_are_weighed() -> None:
    """Nine in ten wrong answers are picked and one in ten right ones: the picks are mostly wrong."""
    rows = today(2000)
    wrong = np.arange(2000) % 10 == 0
    chance = np.where(wrong, 0.9, 0.1)
    picked = np.random.default_rng(3).random(2000) < chance
    truth = np.where(picked, np.where(wrong, "other", rows.rows["output"]), None)
    columns = {"truth": truth, "audit": False, "propensity": np.where(picked, chance, np.nan)}
    window = replace(rows, rows=scored(rows.rows.assign(**columns)))
    assert (rows.rows["output"] == truth)[picked].mean() < 0.6
    signal = live(view(window, nobody(window)))
    assert signal.value == pytest.approx(0.9, abs=0.02)
    assert signal.low < 0.9 < signal.high


def test_rows_that_were_certain_to_be_picked_say_nothing_of_the_others() -> None:
    window = labelled(today(output="nonsense"), np.zeros(12), 1.0, audit=False)
    signal = live(view(window, nobody(window)))
    assert (signal.value, signal.note) == (
        None,
        "not enough labels: 12 labels of 14 days stand for 12 of 400 answers, 133 needed",
    )


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (0, "not enough labels: 0 that were drawn, 10 needed"),
        (9, "not enough labels: 9 that were drawn, 10 needed"),
        (10, None),
    ],
)
def test_from_how_many_labels_on_there_is_a_value(labels: int, note: str | None) -> None:
    window = labelled(today(), np.ones(labels), max(labels, 1) / 400)
    signal = live(view(window, nobody(window)))
    assert (signal.note if signal.value is None else None) == note


def test_labels_that_nobody_drew_do_not_count() -> None:
    found = measured(view(today(propensity=np.nan), before(propensity=np.nan)))
    assert found["accuracy", ""].note == "not enough labels: 0 that were drawn, 10 needed"
    assert found["accuracy.estimated", ""].value is not None


def test_only_the_last_days_count() -> None:
    old = traffic(NOW - 40 * DAY, 10, 500)
    assert live(view(today(), before(), labelled=old)).value is None


def test_late_labels_count_when_they_are_there() -> None:
    blank = {"truth": None, "audit": False, "propensity": np.nan}
    waiting = today(**blank)
    signal = live(view(waiting, before()))
    assert signal.note == "560 labels of 14 days, worth 560 drawn evenly; 3,200 answers"
    assert live(view(today(), before())).note.startswith("640 labels")


def test_of_an_empty_window_the_last_days_are_known() -> None:
    assert live(view(nobody(today()), before())).value == pytest.approx(0.9, abs=0.03)
    assert live(view(nobody(today()), nobody(before()))).note == "not enough rows: 0"


def test_one_row_and_no_confidence() -> None:
    one = today().take(np.array([0]))
    assert live(view(one, nobody(one))).note == "not enough labels: 1 that were drawn, 10 needed"
    unsure = view(today(confidence=np.nan), before(confidence=np.nan))
    assert live(unsure).note == "not enough labels: 0 that were drawn, 10 needed"
    rows = today()
    score = np.where(np.arange(len(rows)) % 2, np.nan, rows.rows["confidence"])
    assert live(view(replace(rows, rows=rows.rows.assign(confidence=score)), before())).value == (
        pytest.approx(0.9, abs=0.03)
    )


def test_what_the_model_that_serves_has_answered_is_apart() -> None:
    """The one before it got everything wrong."""
    old = labelled(before(), np.zeros(560), 0.2)
    given = view(today(model_version="2"), old, "2")
    assert live(given).value == pytest.approx(1 / 8 * 0.9, abs=0.02)
    ours = live(given, "model_version=2")
    assert ours.value == pytest.approx(0.9625, abs=1e-3)  # 77 of 80
    assert ours.note == "80 labels of 14 days, worth 80 drawn evenly; 400 answers"
    none = live(view(today(), before(), "3"), "model_version=3")
    assert none.note == "not enough labels: 0 that were drawn, 10 needed"


def test_every_segment_has_its_own() -> None:
    given = view(today(), before())
    found = {v.segment: live(v, v.segment) for v in given.segments()}
    assert set(found) == {"plan=free", "plan=pro"}
    for signal in found.values():
        assert signal.low < 0.9 < signal.high


def test_answers_that_were_not_read_or_kept_are_counted() -> None:
    """Half of the rows were read: the labels are of twice as many answers."""
    every = traffic(NOW - 8 * DAY, 8, 3200)
    known = every.take(every.rows["truth"].notna().to_numpy())
    some = replace(every.take(np.arange(0, 3200, 2)), share=0.5)
    first = live(view(today(), before(), labelled=known, recent=every))
    second = live(view(today(), before(), labelled=known, recent=some))
    assert second.note == first.note
    assert second.value == pytest.approx(first.value, abs=0.01)
    assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=0.02)


@pytest.mark.parametrize(("right", "alarms"), [(0.5, ["accuracy"]), (0.9, [])])
def test_it_alarms_by_its_whole_interval_and_the_estimate_never(right, alarms) -> None:
    def of(window: Window) -> Window:
        rng = np.random.default_rng(0)
        return labelled(window, rng.random(len(window)) < right, 0.2)

    signals = list(accuracy.measure(view(of(today()), of(before()))))
    assert [s.name for s in signals if broken(s)] == alarms


# -- at the shipped defaults ------------------------------------------------------------------------------

BREAKS = 20  # the day on which the model breaks


def stream(seed: int, after: float) -> list[Window]:
    """Thirty days of 200 answers, 94 % right, from BREAKS on `after`; the confidence never says so."""
    days = [traffic(NOW + n * DAY, 1, 200, seed=100 * seed + n) for n in range(32)]
    rng = np.random.default_rng(seed)
    for n, day in enumerate(days):
        right = rng.random(200) < (0.94 if n < BREAKS else after)
        score = np.clip(0.99 - rng.exponential(0.06, 200), 0.4, 1)
        truth = np.where(right, day.rows["output"], "other")
        days[n] = replace(
            day, rows=day.rows.assign(confidence=score, hidden=truth, truth=None, audit=False)
        )
        days[n].rows["propensity"] = np.nan
    return days


def picked(day: Window, known: KnownRows, seed: int) -> Window:
    """With the labels of the shipped curation: a label comes a day after its answer."""
    policy = Mix(policy="mix", labels_per_day=20, audit_share=0.05)
    score = day.rows["confidence"].to_numpy()[:, None].astype(np.float32)
    shares = np.hstack([score, (1 - score) / 2, (1 - score) / 2])
    tasks = policy.pick(
        Pool(replace(day, probabilities=shares), known), 20, f"{day.end}/{seed}", day.end
    )
    rows = day.rows.set_index("prediction_id", drop=False)
    ids = [t.prediction_id for t in tasks]
    rows.loc[ids, "truth"] = rows.loc[ids, "hidden"]
    rows.loc[ids, "propensity"] = [t.propensity for t in tasks]
    rows.loc[ids, "audit"] = [t.audit for t in tasks]
    return replace(day, rows=scored(rows.reset_index(drop=True)))


def joined(days: list[Window]) -> Window:
    import pandas as pd

    rows = pd.concat([d.rows.astype({"truth": object}) for d in days], ignore_index=True)
    embeddings = np.concatenate([d.embeddings for d in days])
    shares = np.concatenate([np.asarray(d.probabilities) for d in days])
    return Window(days[0].start, days[-1].end, rows, embeddings, shares)


def fires(seed: int, after: float) -> tuple[int | None, int]:
    """The first day with a value, and the first on which the trigger fires."""
    known = KnownRows(before(60).embeddings, before(60).rows["output"].to_numpy())
    days, seen, first = stream(seed, after), [], None
    trigger = Accuracy(policy="accuracy")
    for n, day in enumerate(days):
        given = view(day, joined(seen[-13:]) if seen else nobody(day))
        signals = list(accuracy.measure(given))
        if first is None and signals[0].value is not None:
            first = n
        now = day.end
        if trigger.decide(Situation(now, NOW - 9 * DAY, 99, [], signals)).verdict == "retrain":
            return first, n
        seen.append(picked(day, known, seed))
    return first, -1


@pytest.mark.parametrize(("seed", "first", "day"), [(1, 3, 25), (3, 4, 23)])
def test_the_trigger_fires_days_after_the_model_breaks(seed: int, first: int, day: int) -> None:
    """It has one or two even labels a day to see it by, and fourteen good days before it."""
    assert fires(seed, 0.3) == (first, day)


def test_the_trigger_is_silent_while_nothing_breaks() -> None:
    assert fires(2, 0.94)[1] == -1
