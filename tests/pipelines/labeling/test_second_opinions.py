"""One annotator of several who labels wrong is noticed, and others are asked again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from core.records.labels import Vote
from core.store import Store
from pipelines.labeling.annotators import doubts
from tests.core.store.test_queue import DAY, IDS, NOW, asked, leased, says

CENTRES = 4 * np.eye(4)
NAMES = np.array(["a", "b", "c", "d"])


def round_of(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, true labels, and annotators in turn."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    who = np.array(["ana", "bob", "cy"])[np.arange(n) % 3]
    return CENTRES[truth] + rng.normal(size=(n, 4)), NAMES[truth], who


def test_an_annotator_who_guesses_is_doubted_and_the_others_are_not() -> None:
    rows, truth, who = round_of(240)
    said = np.where(who == "cy", NAMES[np.random.default_rng(1).integers(0, 4, 240)], truth)
    found = doubts(rows, said, who, [True] * 240)
    assert {d.annotator for d in found} == {"cy"}
    assert found[0].looks == ""
    assert np.mean([said[i] != truth[i] for i in found[0].rows]) > 0.95
    assert str(found[0]).startswith(f"{found[0].contradicted} of 80 labels that cy gave contradict")


def test_one_label_given_another_on_purpose_is_seen_where_all_others_are_right() -> None:
    rows, truth, who = round_of(240)
    said = np.where((who == "cy") & (truth == "a"), "b", truth)
    found = doubts(rows, said, who, [True] * 240)
    assert {d.annotator for d in found} == {"cy"}
    flipped = set(np.flatnonzero(said != truth).tolist())
    doubted = {i for d in found for i in d.rows}
    assert len(flipped & doubted) > 0.8 * len(flipped)
    assert len(doubted - flipped) < 0.1 * len(flipped)


@pytest.mark.parametrize("seed", range(5))
def test_honest_annotators_are_not_doubted(seed: int) -> None:
    rows, truth, who = round_of(240, seed)
    rng = np.random.default_rng(1000 + seed)
    said = np.where(rng.random(240) < 0.1, NAMES[rng.integers(0, 4, 240)], truth)  # slips of all
    assert doubts(rows, said, who, [True] * 240) == []


def test_one_annotator_alone_is_compared_with_nobody() -> None:
    rows, truth, _ = round_of(60)
    assert doubts(rows, truth, ["ana"] * 60, [True] * 60) == []
    assert doubts(rows, truth, ["initial"] * 30 + ["ana"] * 30, [False] * 30 + [True] * 30) == []


def test_the_first_to_see_a_new_class_is_not_doubted() -> None:
    rows, truth, who = round_of(240)
    said = np.where((who == "cy") & (truth == "d"), "new", truth)
    said = np.where((who != "cy") & (truth == "d"), "c", said)
    assert "cy" not in {d.annotator for d in doubts(rows, said, who, [True] * 240)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


def test_a_label_that_is_asked_again_goes_to_somebody_else_and_the_first_word_is_kept(
    store: Store,
) -> None:
    asked(store, 2)
    for i in (0, 1):
        store.queue.vote(says(i, "cy", "b"), needed=1)
    assert store.reviews.ask_again(IDS[:1], "ana", NOW, "asked again: why") == 0
    assert store.reviews.ask_again(IDS[:1], "cy", NOW, "asked again: why") == 1
    assert store.reviews.ask_again(IDS[:1], "cy", NOW, "asked again: why") == 0
    assert [v.note for v in store.queue.votes(IDS[:1])] == ["asked again: why"]
    assert store.queue.settle(1) == 0
    assert [t.prediction_id for t in store.queue.open()] == IDS[:1]
    assert leased(store, "cy") == []
    assert leased(store, "ana") == [0]
    rows = store.labels.claim("v0002", NOW + 3 * DAY)
    assert rows["prediction_id"].tolist() == IDS[1:2]
    store.queue.vote(says(0, "ana", "a"), needed=1)
    assert store.labels.claim("v0003", NOW + 3 * DAY)[["target", "annotator"]].to_numpy().tolist() == [
        ["a", "ana"]
    ]
    story = store.lineage.story(IDS[0])
    assert [x["value"] for x in story.labels] == ["b", "a"]


def test_what_a_dataset_has_taken_is_set_aside_until_somebody_answers(store: Store) -> None:
    asked(store, 1)
    store.queue.vote(says(0, "cy", "b"), needed=1)
    first = store.labels.claim("v0002", NOW + 3 * DAY)
    assert store.reviews.set_aside() == []
    assert store.reviews.ask_again(IDS[:1], "cy", NOW, "why") == 1
    assert store.reviews.set_aside() == IDS[:1]
    assert store.labels.claim("v0002", NOW + 3 * DAY).equals(first)  # it is as it was
    assert store.labels.claim("v0003", NOW + 3 * DAY).empty
    store.queue.vote(says(0, "ana", "a"), needed=1)
    assert store.reviews.set_aside() == []
    assert store.labels.claim("v0004", NOW + 3 * DAY)["target"].tolist() == ["a"]


def test_what_two_people_looked_at_is_not_judged_again(store: Store) -> None:
    asked(store, 3)
    store.queue.vote(says(0, "cy", "b"), needed=1)
    for who in ("ana", "bob"):
        store.queue.vote(says(1, who, "b"), needed=2)
    store.queue.vote(says(2, "cy", "b"), needed=1)
    store.reviews.adjudicate(IDS[2], "a", "eve", NOW + timedelta(hours=1))
    assert {f.prediction_id: f.seconded for f in store.reviews.fresh(NOW + 3 * DAY)} == {
        IDS[0]: False, IDS[1]: True, IDS[2]: True,
    }  # fmt: skip
    store.reviews.ask_again(IDS[:1], "cy", NOW, "why")
    store.queue.vote(Vote(IDS[0], "cy", "b", NOW), 1)  # the same person once more is no second opinion
    assert [f.seconded for f in store.reviews.fresh(NOW + 3 * DAY) if f.prediction_id == IDS[0]] == [
        False
    ]
