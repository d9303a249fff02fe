"""What changed is named, and what did not is not; no text leaves the workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from core.near import unit
from core.records.windows import Window
from monitoring.explain.explanation import Explanation, explain
from monitoring.explain.rows import comparable_rows
from monitoring.explain.shifts import share_shifts
from monitoring.explain.texts import SAME, mmd_contributions, nearest_rows
from monitoring.explain.words import significant, word_shifts, words
from tests.monitoring.changes import DAY, LABELS, NEW, NOW, WORDS, shuffled, traffic, view

CHANGED = view(traffic(new=0.3, web=0.6))


def test_the_label_segment_words_and_texts_that_changed_are_named():
    found = explain(CHANGED)
    assert {m.value for m in found.labels} <= {"card", "loan"}  # what the model takes tyres for
    assert found.labels
    assert [(m.column, m.value) for m in found.segments] == [("channel", "app"), ("channel", "web")]
    assert [(m.before, m.now) for m in found.segments] == [
        (pytest.approx(0.7, abs=0.05), pytest.approx(0.4, abs=0.12)),
        (pytest.approx(0.3, abs=0.05), pytest.approx(0.6, abs=0.12)),
    ]
    assert sum(m.part for m in found.segments) == pytest.approx(1.0)
    assert {w.word for w in found.came} == set(WORDS[NEW])
    assert found.went == []
    topics = dict(zip(CHANGED.whole.rows["prediction_id"], CHANGED.whole.rows["topic"], strict=True))
    assert [topics[t.prediction_id] for t in found.texts] == [NEW] * len(found.texts)
    assert len(found.texts) >= 2


def test_words_that_went_are_named():
    reference = traffic(NOW - DAY, 7)
    without = traffic(rows=200)
    without = without.take((without.rows["topic"] != "card").to_numpy(dtype=bool))
    found = explain(view(without, reference))
    assert {w.word for w in found.went} == set(WORDS["card"])
    assert found.labels[0].value == "card"
    assert found.labels[0].now == 0


def test_luck_is_not_explained():
    named = [explain(view(traffic(seed=s), traffic(NOW - DAY, 7, seed=s))) for s in range(20)]
    assert sum(bool(e.labels) for e in named) <= 2
    assert sum(bool(e.segments) for e in named) <= 2
    assert sum(bool(e.came or e.went) for e in named) <= 2
    assert sum(bool(e.texts) for e in named) <= 3
    (quiet, *_) = [e for e in named if e.nothing]
    assert quiet.lines() == ["no label, segment or word moved by more than luck explains"]


def test_it_is_the_same_again_and_in_any_order():
    once = explain(CHANGED)
    assert explain(CHANGED) == once
    mixed = replace(
        CHANGED, whole=shuffled(CHANGED.whole), whole_reference=shuffled(CHANGED.whole_reference)
    )
    assert explain(mixed) == once


def test_the_lines_hold_no_text():
    found = explain(CHANGED)
    lines = found.lines()
    assert [line.split(":")[0] for line in lines] == ["labels", "segment channel", "words that came"]
    for text in CHANGED.whole.rows["text"]:
        assert not any(text in line for line in lines)


def test_each_text_stands_beside_its_nearest_of_the_reference():
    window, reference = comparable_rows(CHANGED)
    ours, theirs = unit(window.embeddings), unit(reference.embeddings)
    for found in explain(CHANGED).texts:
        row = list(window.rows["prediction_id"]).index(found.prediction_id)
        cosine = theirs @ ours[row]
        assert found.similarity == pytest.approx(cosine.max(), abs=1e-5)
        assert found.nearest == reference.texts[int(cosine.argmax())]


def test_typical_texts_are_not_paraphrases_of_one():
    window, _ = comparable_rows(CHANGED)
    chosen = [list(window.rows["prediction_id"]).index(t.prediction_id) for t in explain(CHANGED).texts]
    rows = unit(window.embeddings[chosen])
    assert (rows @ rows.T)[~np.eye(len(rows), dtype=bool)].max() < SAME


def test_the_witness_of_a_row_leaves_out_the_row_itself():
    window, reference = comparable_rows(view())
    found = mmd_contributions(window, reference)
    far = replace(window, embeddings=window.embeddings.copy())
    far.embeddings[0] += 50
    strange = mmd_contributions(far, reference)
    assert strange.window.argmax() != 0  # one strange row is no change
    assert abs(strange.sds - found.sds) < 3


def test_the_mean_witnesses_differ_by_the_distance():
    window, reference = comparable_rows(CHANGED)
    found = mmd_contributions(window, reference)
    assert found.window.mean() - found.reference.mean() > 0
    assert found.sds > 10
    assert len(found.reference) == len(found.compared) == len(reference) // 2


def test_nearest_rows_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    rows, known = (unit(rng.normal(size=(n, 8)).astype(np.float32)) for n in (20, 9000))
    where, cosine = nearest_rows(rows, known)
    assert where.tolist() == (rows @ known.T).argmax(axis=1).tolist()
    assert cosine == pytest.approx((rows @ known.T).max(axis=1))


def nothing(window: Window) -> Window:
    return replace(window.take(np.zeros(0, dtype=int)), embeddings=np.zeros((0, 0), np.float32))


def with_rows(window: Window, **columns: object) -> Window:
    return replace(window, rows=window.rows.assign(**columns))


def nan(window: Window) -> Window:
    return replace(window, embeddings=np.full_like(window.embeddings, np.nan))


def constant(window: Window) -> Window:
    return replace(window, embeddings=np.ones_like(window.embeddings))


@pytest.mark.parametrize(
    ("ours", "theirs", "note"),
    [
        (nothing, None, "not enough rows: 0"),
        (None, nothing, "not enough reference: 0 rows"),
        (lambda w: w.take(np.array([0])), None, "not enough rows of encoder minilm: 1 rows of the window"),
        (nan, None, "not enough rows of encoder minilm: 0 rows of the window"),
        (None, nan, "and 0 of the reference, 50 needed"),
        (lambda w: with_rows(w, encoder="other"), None, "and 0 of the reference, 50 needed"),
        (lambda w: replace(w, embeddings=w.embeddings[:, :4]), None, "embeddings of 4 and 24 dimensions"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(
    ours: Callable[[Window], Window] | None, theirs: Callable[[Window], Window] | None, note: str
):
    window, reference = traffic(), traffic(NOW - DAY, 7)
    found = explain(view(ours(window) if ours else window, theirs(reference) if theirs else reference))
    assert note in found.note
    assert found.lines() == [found.note]


@pytest.mark.parametrize(
    "change", [constant, lambda w: with_rows(w, output="card"), lambda w: with_rows(w, text="")]
)
def test_what_is_all_the_same_is_no_exception(change: Callable[[Window], Window]):
    window, reference = traffic(new=0.3), traffic(NOW - DAY, 7)
    assert isinstance(explain(view(change(window), change(reference))), Explanation)


def test_texts_that_are_missing_are_no_words():
    window = traffic(new=0.3)
    window = with_rows(window, text=[None, *window.rows["text"][1:]])
    assert {w.word for w in explain(view(window)).came} == set(WORDS[NEW])


def test_a_model_of_another_size_is_not_comparable():
    model = replace(CHANGED.model, encoder="minilm", classify=lambda e: e @ np.eye(3))
    found = explain(replace(CHANGED, model=model))
    assert found.note.startswith("not comparable: the model cannot read them")


def test_the_model_that_serves_says_what_moved():
    def classify(rows):
        return np.tile(np.eye(len(LABELS))[0], (len(rows), 1))

    model = replace(CHANGED.model, classify=classify)
    assert explain(replace(CHANGED, model=model)).labels == []  # all is "card" to it, then and now


def test_a_share_that_a_day_of_the_reference_had_has_not_moved():
    days = np.repeat(np.arange(1, 8), 100)
    usual = np.where(np.arange(700) % 10 == 0, "new", "old")
    assert [m.value for m in share_shifts("label", ["new"] * 40 + ["old"] * 60, usual, days, 50)] == [
        "new",
        "old",
    ]
    weekend = np.where((days == 7) & (np.arange(700) % 2 == 0), "new", usual)
    assert share_shifts("label", ["new"] * 40 + ["old"] * 60, weekend, days, 50) == []


def test_a_repeated_word_is_one_witness():
    assert word_shifts(["spam spam spam"] * 5, ["ham"] * 5) == word_shifts(["spam"] * 5, ["ham"] * 5)


def test_no_text_is_no_word():
    assert word_shifts(["a b"], []) == []
    assert significant([]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't re-use 'it'!", ["don't", "re-use", "it"]),
        ("ÉTÉ été E\u0301te\u0301", ["été"]),
        ("где мой заказ?", ["где", "мой", "заказ"]),
        ("कार्ड नहीं", ["कार्ड", "नहीं"]),
        ("12 345 --- …", []),
        ("<script>alert(1)</script>", ["script", "alert"]),
        ("", []),
    ],
)
def test_words_of_any_language_with_spaces(text: str, found: list[str]):
    assert words(text) == found
