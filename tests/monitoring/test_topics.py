"""Groups of texts nobody has learnt become candidate classes, and known traffic does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from core.records.windows import Window
from core.stored import plain, record
from monitoring.topics.clusters import MIN_ROWS, new_topics
from monitoring.topics.tracking import TrackedTopic, decision, followed, settled
from tests.monitoring.changes import DAY, LABELS, NEW, NOW, WORDS, learnt, shuffled, traffic, view

CHANGED = view(traffic(new=0.3))
WEEK = timedelta(days=7)


def test_a_new_topic_has_its_rows_its_words_and_its_examples():
    (found,) = new_topics(CHANGED, learnt())
    truth = dict(zip(CHANGED.whole.rows["prediction_id"], CHANGED.whole.rows["topic"], strict=True))
    assert {truth[p] for p in found.prediction_ids} == {NEW}
    assert found.size == len(found.prediction_ids) >= 0.9 * (CHANGED.whole.rows["topic"] == NEW).sum()
    assert set(found.words) < set(WORDS[NEW])
    assert found.name == "-".join(found.words)
    assert found.share == pytest.approx(0.3, abs=0.1)
    assert 0.2 <= found.confidence <= 0.4
    assert NOW - DAY <= found.since < NOW - DAY / 2
    rows = CHANGED.whole.rows.set_index("request_id")
    assert [rows.loc[r, "text"] for r in found.request_ids[:3]] == list(found.examples)


def test_without_labelled_rows_what_the_model_is_sure_of_is_known():
    (found,) = new_topics(CHANGED)
    assert set(found.words) < set(WORDS[NEW])


def test_known_traffic_has_no_topic():
    quiet = [view(traffic(seed=s), traffic(NOW - DAY, 7, seed=s)) for s in range(20)]
    assert [len(new_topics(v, learnt())) for v in quiet] == [0] * 20


def test_a_few_rows_are_no_topic():
    rows = np.flatnonzero(CHANGED.whole.rows["topic"] == NEW)
    few = np.setdiff1d(np.arange(len(CHANGED.whole)), rows[MIN_ROWS - 1 :])
    assert new_topics(view(CHANGED.whole.take(few)), learnt()) == []


def test_a_topic_that_comes_slowly_is_seen_over_days():
    trickle = traffic(NOW - DAY, 7, new=0.02)
    (found,) = new_topics(view(traffic(new=0.02), trickle), learnt())
    assert set(found.words) < set(WORDS[NEW])
    assert found.since < NOW - 4 * DAY


def test_it_is_the_same_in_any_order():
    mixed = replace(
        CHANGED, whole=shuffled(CHANGED.whole), whole_reference=shuffled(CHANGED.whole_reference)
    )
    (once,), (again,) = new_topics(CHANGED, learnt()), new_topics(mixed, learnt())
    assert once.prediction_ids == again.prediction_ids
    assert (once.name, once.examples, once.since) == (again.name, again.examples, again.since)


def scattered(window: Window, rows: int) -> Window:
    """So many rows of the window are doubted, and each is somewhere of its own."""
    where = np.linspace(0, len(window) - 1, rows).astype(int)
    embeddings, frame = window.embeddings.copy(), window.rows.copy()
    embeddings[where] = np.random.default_rng(5).normal(size=(rows, embeddings.shape[1])) * 6
    frame.loc[where, "confidence"] = 0.3
    return replace(window, embeddings=embeddings, rows=frame)


def test_a_burst_of_rows_that_are_like_nothing_is_the_topic_other():
    window = scattered(traffic(), 20)
    (found,) = new_topics(view(window), learnt())
    burst = window.rows["confidence"] == 0.3
    assert found.name == "other"
    assert found.size >= 18
    assert set(found.prediction_ids) <= set(window.rows["prediction_id"][burst])
    assert set(found.examples) < set(window.rows["text"][burst])
    assert "more than usual" in decision(followed([], [found], NOW)[0]).reason


def test_as_many_as_every_day_are_no_topic():
    usual = scattered(traffic(NOW - DAY, 7), 140)
    assert new_topics(view(scattered(traffic(), 20), usual), learnt()) == []


def test_other_takes_no_other_topic_in_and_is_taken_in_by_none():
    (other,), (tyre,) = (
        new_topics(view(scattered(traffic(), 20)), learnt()),
        new_topics(CHANGED, learnt()),
    )
    both = followed(followed([], [other], NOW), [replace(tyre, centroid=other.centroid)], NOW + DAY)
    assert {c.name for c in both} == {"other", tyre.name}
    again = followed(both, [replace(other, centroid=-other.centroid)], NOW + 2 * DAY)
    assert {c.name: c.seen for c in again} == {tyre.name: NOW + DAY, "other": NOW + 2 * DAY}


def nothing(window: Window) -> Window:
    return replace(window.take(np.zeros(0, dtype=int)), embeddings=np.zeros((0, 0), np.float32))


@pytest.mark.parametrize(
    "change",
    [
        nothing,
        lambda w: w.take(np.array([0])),
        lambda w: replace(w, embeddings=np.full_like(w.embeddings, np.nan)),
        lambda w: replace(w, embeddings=np.ones_like(w.embeddings)),
        lambda w: replace(w, embeddings=np.zeros_like(w.embeddings)),
        lambda w: replace(w, embeddings=w.embeddings[:, :5]),
        lambda w: replace(w, rows=w.rows.assign(confidence=np.nan)),
        lambda w: replace(w, rows=w.rows.assign(confidence=0.5, output="card")),
    ],
)
@pytest.mark.parametrize("side", ["window", "reference", "both"])
def test_bad_input_is_no_topic_and_no_exception(change: Callable[[Window], Window], side: str):
    window, reference = traffic(), traffic(NOW - DAY, 7)
    window = change(window) if side != "reference" else window
    reference = change(reference) if side != "window" else reference
    assert new_topics(view(window, reference), learnt()) == []


def test_what_is_known_may_be_of_another_size_or_broken():
    (found,) = new_topics(CHANGED, np.full((100, 3), np.nan, np.float32))
    assert set(found.words) < set(WORDS[NEW])


def test_a_topic_keeps_its_identity_until_the_model_has_learnt_it():
    (first,) = followed([], new_topics(CHANGED, learnt()), NOW)
    later = view(traffic(NOW + DAY, new=0.3, seed=3), traffic(NOW, 7, new=0.05, seed=3))
    (again,) = followed([first], new_topics(later, learnt()), NOW + DAY)
    assert (again.key, again.name, again.opened) == (first.key, first.name, NOW)
    assert again.seen == NOW + DAY
    assert set(first.members) < set(again.members)

    labels = dict.fromkeys(again.members[:3], "tyre change")
    (still,) = settled([again], labels, LABELS, NOW + DAY, WEEK)
    assert still.status == "open"  # it has a name now, and nobody has learnt it
    (done,) = settled([again], labels, [*LABELS, "tyre change"], NOW + DAY, WEEK)
    assert done.status == "learnt"
    (few,) = settled([again], dict.fromkeys(again.members[:2], "card"), LABELS, NOW + DAY, WEEK)
    assert few.status == "open"


def test_a_topic_that_is_not_seen_any_more_is_gone_and_may_come_back():
    (first,) = followed([], new_topics(CHANGED, learnt()), NOW)
    (gone,) = settled([first], {}, LABELS, NOW + WEEK, WEEK)
    assert gone.status == "gone"
    (back,) = followed([gone], new_topics(CHANGED, learnt()), NOW + 9 * DAY)
    assert (back.key, back.status) == (first.key, "open")


def test_the_same_window_again_changes_nothing():
    found = new_topics(CHANGED, learnt())
    once = followed([], found, NOW)
    assert followed(once, found, NOW) == once


def test_a_candidate_survives_json_and_its_decision_has_no_text():
    (candidate,) = followed([], new_topics(CHANGED, learnt()), NOW)
    assert record(TrackedTopic, json.loads(json.dumps(plain(candidate)))) == candidate
    made = decision(candidate)
    assert (made.key, made.verdict) == (candidate.key, "topic")
    assert made.key.startswith(f"topic/{candidate.name}-")
    stored = json.dumps([made.reason, made.evidence.stored(), plain(candidate)])
    assert not any(text in stored for text in CHANGED.whole.rows["text"])


def test_another_encoder_is_another_topic():
    (first,) = followed([], new_topics(CHANGED, learnt()), NOW)
    assert (
        len(followed([replace(first, encoder="other")], new_topics(CHANGED, learnt()), NOW + DAY)) == 2
    )
