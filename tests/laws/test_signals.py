"""What every measure keeps to, whatever it is given: those of monitoring/signals, and each one to come."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from core.arrays import Array
from core.records.signals import Signal, SystemSample
from core.records.windows import Window
from everloop.laws.traffic import DAY, LABELS, NOW, before, today
from monitoring import Monitoring
from monitoring.signals import PARTS, SPECS
from monitoring.view import Measure, ServedModel, View

SETTINGS = Monitoring()
SYSTEM = [SystemSample("host:1", NOW - DAY / 2, 100, 1, 3, 2**30, 2**20)]
every = pytest.mark.parametrize(
    "measure",
    [p.measure for p in PARTS],
    ids=[p.__name__.removeprefix("monitoring.signals.") for p in PARTS],
)


def classify(rows: Array) -> Array:
    return rows[:, :3]


def view(window: Window, reference: Window, **more: object) -> View:
    known = frozenset(LABELS)
    model = ServedModel("1", LABELS, known, "minilm", classify, lambda texts: np.zeros(len(texts)))
    return View(window, reference, **{"model": model, "settings": SETTINGS, "system": SYSTEM, **more})


def no_rows(window: Window) -> Window:
    return replace(window.take(np.zeros(0, dtype=int)), embeddings=np.zeros((0, 0), np.float32))


def embedded(window: Window, embeddings: Array) -> Window:
    return replace(window, embeddings=embeddings.astype(np.float32))


def constant(window: Window) -> Window:
    return embedded(window, np.ones((len(window), 8)))


def not_numbers(window: Window) -> Window:
    shares = np.full((len(window), 3), np.nan, np.float32)
    rows = window.rows.assign(confidence=np.nan, latency_ms=np.nan)
    return replace(embedded(window, np.full((len(window), 8), np.nan)), rows=rows, probabilities=shares)


def backwards(window: Window) -> Window:
    return replace(window, start=window.end, end=window.start)


OTHER = ServedModel(
    "2", ["cancel", "upgrade"], frozenset(["cancel", "upgrade"]), "tuned", lambda r: r[:, :2]
)
BAD: dict[str, Callable[[], View]] = {
    "no rows": lambda: view(no_rows(today()), before()),
    "no rows at all": lambda: view(no_rows(today()), no_rows(before())),
    "one row": lambda: view(today().take(np.array([0])), before()),
    "one row on both sides": lambda: view(today().take(np.array([0])), before().take(np.array([0]))),
    "one class": lambda: view(today(output="refund"), before(output="refund")),
    "one class today": lambda: view(today(output="refund", confidence=1.0), before()),
    "constant embeddings today": lambda: view(constant(today()), before()),
    "constant embeddings before": lambda: view(today(), constant(before())),
    "constant embeddings": lambda: view(constant(today()), constant(before())),
    "zero embeddings": lambda: view(embedded(today(), np.zeros((400, 8))), before()),
    "NaN today": lambda: view(not_numbers(today()), before()),
    "NaN before": lambda: view(today(), not_numbers(before())),
    "NaN": lambda: view(not_numbers(today()), not_numbers(before())),
    "no texts": lambda: view(today(text=None), before(text=None)),
    "empty texts": lambda: view(today(text=""), before(text=" \n")),
    "other dimensions": lambda: view(embedded(today(), np.ones((400, 4))), before()),
    "no probabilities": lambda: view(replace(today(), probabilities=[np.zeros(0)] * 400), before()),
    "a reference older than the retention": lambda: view(today(), no_rows(before())),
    "a reference of one hour": lambda: view(today(), before(timestamp=NOW - DAY - DAY / 24)),
    "a segment never seen": lambda: view(today(**{"segment.plan": "new"}), before()),
    "no segments before": lambda: view(
        today(), replace(before(), rows=before().rows.drop(columns="segment.plan"))
    ),
    "a model with other labels": lambda: view(today(), before(), model=OTHER),
    "another version": lambda: view(today(model_version="2", output="cancel"), before(), model=OTHER),
    "another encoder": lambda: view(today(encoder="tuned"), before()),
    "a window that ends before it starts": lambda: view(backwards(today()), before()),
    "a window of no time": lambda: view(replace(today(), start=NOW), before()),
    "times out of order": lambda: view(
        today(timestamp=today().rows["timestamp"].to_numpy()[::-1]),
        before(timestamp=before().rows["timestamp"].to_numpy()[::-1]),
    ),
    "a reference after the window": lambda: view(today(), before(timestamp=NOW + DAY)),
    "no labels": lambda: view(today(truth=None, audit=False), before(truth=None, audit=False)),
    "no server": lambda: view(today(), before(), system=[]),
}
GOOD: dict[str, Callable[[], View]] = {
    "usual": lambda: view(today(), before()),
    "usual again": lambda: view(today(), before()),
    "shuffled": lambda: view(shuffled(today()), shuffled(before())),
    "no rows, no server": lambda: view(no_rows(today()), before(), system=[]),
    "a thousand rows": lambda: view(today(1000), before(7000)),
    "ten thousand rows": lambda: view(today(10_000), before(7000)),
}


def shuffled(window: Window) -> Window:
    return window.take(np.random.default_rng(7).permutation(len(window)))


@cache
def parts(given: str) -> tuple[View, ...]:
    """All traffic and its segments, made once for all measures, as a look at a window does."""
    made = (GOOD | BAD)[given]()
    return (made, *made.segments())


def told(measure: Measure, views: Sequence[View]) -> dict[tuple[str, str], Signal]:
    return {(s.name, s.segment): s for one in views for s in measure(one)}


@every
@pytest.mark.parametrize("given", BAD)
def test_bad_input_changes_values_and_says_why_there_is_none(measure: Measure, given: str) -> None:
    found = told(measure, parts(given))
    usual = {s.name for s in measure(parts("usual")[0])}
    assert {name for name, segment in found if not segment} == usual
    for signal in found.values():
        if signal.value is None:
            assert signal.note.startswith(("not enough", "not comparable")), signal
        else:
            numbers = (signal.value, signal.baseline, signal.low, signal.high)
            assert all(math.isfinite(x) for x in numbers if x is not None), signal


@every
def test_of_no_rows_nothing_is_said_but_how_many(measure: Measure) -> None:
    """A zero would be taken for a measurement."""
    silent = measure(parts("no rows, no server")[0])
    said = {s.name for s in silent if s.value is not None}
    assert said <= {"rows", "accuracy"}  # which is that of the last days


@every
def test_every_signal_has_a_spec_of_its_unit(measure: Measure) -> None:
    signals = list(measure(parts("usual")[0]))
    assert [s.unit for s in signals] == [SPECS[s.name].unit for s in signals]


@every
def test_the_same_input_gives_the_same_signals(measure: Measure) -> None:
    assert told(measure, parts("usual")) == told(measure, parts("usual again"))


@every
def test_the_input_is_not_changed(measure: Measure) -> None:
    given = view(today(), before())
    told(measure, (given, *given.segments()))
    pristine = parts("usual")[0]
    for ours, made in (
        (given.whole, pristine.whole),
        (given.whole_reference, pristine.whole_reference),
    ):
        assert ours.rows.equals(made.rows)
        np.testing.assert_array_equal(ours.embeddings, made.embeddings)


@every
def test_the_order_of_rows_does_not_matter(measure: Measure) -> None:
    ordered, mixed = (told(measure, parts(given)) for given in ("usual", "shuffled"))
    assert close(ordered, mixed, exact=True) == {}


@every
def test_a_thousand_rows_and_ten_thousand_say_the_same(measure: Measure) -> None:
    few, many = (told(measure, parts(given)) for given in ("a thousand rows", "ten thousand rows"))
    assert close(few, many, exact=False) == {}


def close(
    one: dict[tuple[str, str], Signal], other: dict[tuple[str, str], Signal], exact: bool
) -> dict[str, tuple[float | None, float | None]]:
    """The signals that differ: a distance, which random subsets judge, in its verdict; others in value."""
    assert one.keys() == other.keys()
    found = {}
    for key, signal in one.items():
        a, b = signal, other[key]
        if a.name == "rows" and not exact:
            continue
        drift = SPECS[a.name].kind == "drift"
        same = verdict(a) == verdict(b) if drift else near(a.value, b.value, 1e-6 if exact else 0.15)
        if not same:
            found["/".join(key)] = (a.value, b.value)
    return found


def near(a: float | None, b: float | None, relative: float) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=relative, abs_tol=0.02 if relative > 0.01 else 1e-9)


def verdict(signal: Signal) -> bool | None:
    if signal.value is None or signal.baseline is None:
        return None
    return signal.value > signal.baseline


BESIDE_ALL = ("text.oov", "text.unknown", "novelty", "duplicates")  # rows held against all traffic's


@every
def test_a_segment_is_measured_as_if_its_rows_were_all_there_is(measure: Measure) -> None:
    """What is worked out once for all traffic and shared by its segments changes no number."""
    for segment, alone in alone_and_within():
        found, expected = ({s.name: s for s in measure(v)} for v in (segment, alone))
        assert found.keys() == expected.keys()
        for name in found.keys() - set(BESIDE_ALL):
            assert found[name] == expected[name]


@cache
def alone_and_within() -> list[tuple[View, View]]:
    """Each segment as a part of all traffic, and as all the traffic there is."""
    window, reference = today(2000), before(14_000)
    whole = view(window, reference, feedback=feedback(window, reference), system=[])
    found = []
    for segment in whole.segments():
        ours, theirs = (
            w.take((w.rows["segment.plan"] == segment.where[1]).to_numpy()) for w in (window, reference)
        )
        alone = replace(whole, whole=ours, whole_reference=theirs, segment=segment.segment)
        found.append((segment, alone))
    return found


def feedback(*windows: Window) -> pd.DataFrame:
    """Of every third answer a thumb, of every seventh a correction, an hour later."""
    rows = pd.concat([w.rows for w in windows], ignore_index=True)
    told = [
        rows.iloc[::3].assign(kind="thumbs", value=lambda r: np.where(r.index % 2, "up", "down")),
        rows.iloc[::7].assign(kind="correction", value="refund"),
    ]
    return pd.concat(told).assign(timestamp=lambda r: r["timestamp"] + DAY / 24, source="")[
        ["prediction_id", "timestamp", "kind", "value", "source"]
    ]
