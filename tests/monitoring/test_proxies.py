"""Proxies on rows made for it: the numbers are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.records.signals import Signal
from core.records.windows import Window
from everloop.laws.traffic import LABELS, before, today
from monitoring import Monitoring
from monitoring.quality.neighbours import GROUP, duplicated, novelty
from monitoring.quality.texts import describe
from monitoring.signals import confidence, custom, system
from monitoring.signals.texts import measure as of_texts
from monitoring.view import Measure, ServedModel, View


def view(window: Window, reference: Window, **settings: object) -> View:
    def unknown(texts: list[str]) -> np.ndarray:
        return np.array([t.count("\N{SNOWMAN}") / len(t.split()) for t in texts])

    model = ServedModel("1", LABELS, frozenset(LABELS), "minilm", None, unknown)
    return View(window, reference, model, Monitoring(**settings))


def said(measure: Measure, given: View) -> dict[str, Signal]:
    return {s.name: s for s in measure(given)}


def test_words_are_counted_whatever_the_script() -> None:
    ours, theirs = describe(["Where IS it?", "退款在哪里", "", None], ["where is my parcel", "is it"])
    assert ours["words"].tolist()[:3] == [3, 5, 0]
    assert ours["unseen"].tolist()[:3] == [0, 5, 0]
    assert theirs["unseen"].tolist() == [3, 1]  # but for "is", no other text holds them
    assert ours.loc[3].isna().all()


def test_a_word_is_new_when_no_reference_text_holds_it() -> None:
    texts = ["refund my order" if i % 4 else "refund my spaceship" for i in range(400)]
    signal = said(of_texts, view(today(text=texts), before(text="refund my order")))["text.oov"]
    assert signal.value == pytest.approx(1 / 12)
    assert signal.note == "0 in the reference"
    assert signal.baseline is None


def test_unknown_tokens_are_those_of_the_tokenizer() -> None:
    texts = ["a \N{SNOWMAN}" if i % 2 else "a b" for i in range(400)]
    assert said(of_texts, view(today(text=texts), before()))["text.unknown"].value == 0.25


def test_repetition_is_the_share_of_runs_of_four_words_that_were_there_before() -> None:
    """'no no no no no no' has three runs of four words, two of them again."""
    texts = ["no " * 6 if i % 2 else "one two three four five six" for i in range(400)]
    found = said(of_texts, view(today(text=texts), before(text="a b c d")))
    assert found["text.repetition"].value == pytest.approx(2 / 6)
    assert found["text.repetition"].note == "0 in the reference"
    assert found["text.length"].value == pytest.approx((18 + 27) / 2)


def test_two_texts_do_not_share_their_runs() -> None:
    (ours, _) = describe(["a b c d", "a b c d", "d a b"], [])
    assert (ours["grams"].tolist(), ours["repeated"].tolist()) == ([1, 1, 0], [0, 0, 0])


def test_novelty_is_the_cosine_distance_to_the_nearest_known_row() -> None:
    known = np.array([[1.0, 0.0], [0.0, 2.0]])
    rows = np.array([[3.0, 0.0], [1.0, 1.0], [-1.0, -1.0], [0.0, 0.0], [np.nan, 1.0]])
    root = np.sqrt(0.5)
    expected = [0, 1 - root, 1 + root, np.nan, np.nan]
    np.testing.assert_allclose(novelty(rows, known), expected, atol=1e-6)
    assert np.isnan(novelty(rows, np.zeros((0, 2)))).all()


def test_new_traffic_is_further_from_what_is_known() -> None:
    window, reference = today(), before()
    usual = said(of_texts, view(window, reference))["novelty"]
    away = replace(window, embeddings=-window.embeddings)
    strange = said(of_texts, view(away, reference))["novelty"]
    (noted,) = {usual.note, strange.note}
    in_reference = float(noted.removesuffix(" in the reference"))
    assert usual.value == pytest.approx(in_reference, rel=0.1)
    assert strange.value > 3 * in_reference


def test_labelled_rows_are_what_is_known_where_there_are_enough() -> None:
    window, labelled, others = today(), today().take(np.arange(0)), before(300)
    named = others.rows.assign(prediction_id=[f"l{i}" for i in range(300)])
    far = replace(others, rows=named, embeddings=-others.embeddings)
    plain = view(window, before())
    assert said(of_texts, replace(plain, labelled=labelled)) == said(of_texts, plain)
    usual, strange = (said(of_texts, replace(plain, labelled=x)) for x in (labelled, far))
    assert strange["novelty"].value > 3 * usual["novelty"].value


def test_near_duplicates_are_those_among_as_many_others() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5 * GROUP + 30, 64))
    assert duplicated(rows).sum() == 0
    rows[::2] = rows[0] + rng.normal(0, 0.01, rows[::2].shape)
    assert duplicated(rows).tolist() == [1.0, 0.0] * (len(rows) // 2)
    assert np.isnan(duplicated(rows[: GROUP - 1])).all()


def test_entropy_is_a_share_of_the_most_there_can_be() -> None:
    sure, torn = np.array([1, 0, 0], np.float32), np.full(3, 1 / 3, np.float32)
    window = replace(today(), probabilities=[sure, torn] * 200)
    signal = said(confidence.measure, view(window, before()))["entropy"]
    assert signal.value == pytest.approx(0.5)
    mixed = replace(today(), probabilities=[torn, np.full(5, 0.2, np.float32)] * 200)
    assert said(confidence.measure, view(mixed, before()))["entropy"].value == pytest.approx(1)


def test_latency_is_that_of_the_rows() -> None:
    found = said(system.measure, view(today(latency_ms=np.arange(400.0)), before(latency_ms=7.0)))
    values = [found[f"system.latency.p{p}"].value for p in (50, 95, 99)]
    assert values == pytest.approx([199.5, 379.05, 395.01])
    assert found["system.latency.p50"].note == "7 in the reference"


def signals_of(hook: str) -> dict[str, tuple[float | None, str]]:
    return {s.name: (s.value, s.note) for s in custom.measure(view(today(), before(), hook=hook))}


def exclaimed(rows: pd.DataFrame) -> dict[str, float]:
    rows["text"] = "changed"
    return {"rows": len(rows), "nothing": float("nan")}


def broken(rows: pd.DataFrame) -> dict[str, float]:
    raise KeyError("plan")


def too_many(rows: pd.DataFrame) -> dict[str, float]:
    return {f"n{i}": i for i in range(51)}


def test_a_hook_of_the_users_own_gives_signals() -> None:
    window, here = today(), "tests.monitoring.test_proxies"
    given = view(window, before(), hook=f"{here}:exclaimed")
    assert {s.name: (s.value, s.note) for s in custom.measure(given)} == {
        "custom.rows": (400.0, ""),
        "custom.nothing": (None, f"not comparable: {here}:exclaimed gave no finite number"),
    }
    assert window.rows["text"].iloc[0] != "changed"


@pytest.mark.parametrize(
    ("hook", "note"),
    [
        (
            "tests.monitoring.test_proxies:broken",
            "tests.monitoring.test_proxies:broken raised KeyError: 'plan'",
        ),
        ("no.such:thing", "no.such:thing raised ModuleNotFoundError: No module named 'no'"),
        ("math:pi", "math:pi raised TypeError: 'float' object is not callable"),
        ("builtins:len", "builtins:len gave int, expected a dict of numbers by name"),
    ],
)
def test_a_hook_that_fails_is_a_note(hook: str, note: str) -> None:
    assert signals_of(hook) == {"custom": (None, f"not comparable: {note}")}


def test_a_hook_gives_so_many_numbers_at_most() -> None:
    found = signals_of("tests.monitoring.test_proxies:too_many")
    assert len(found) == 51  # and the one that says so
    assert found["custom"][1] == (
        "not comparable: tests.monitoring.test_proxies:too_many gave 51 numbers, 50 are kept"
    )
