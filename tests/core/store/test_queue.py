"""Tasks are handed out one at a time, votes settle them, and disputes wait for an adjudicator."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from core.errors import LabelError
from core.records.labels import Annotation, AnnotationTask, Dispute, Progress, Review, Vote
from core.store import Store
from tests.core.store.test_store import NOW, prediction

SOON = timedelta(minutes=15)
DAY = timedelta(days=1)
TIME = (NOW + 2 * DAY, NOW + 2 * DAY + SOON)
IDS = [prediction(i).prediction_id for i in range(40)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


def asked(store: Store, n: int, audit: bool = False) -> Store:
    """`n` tasks, all of one round."""
    store.answers.log([prediction(i) for i in range(n)])
    store.queue.add([AnnotationTask(i, NOW + DAY, "r", "random", 0.5, audit) for i in IDS[:n]])
    return store


def says(i: int, annotator: str, label: str | None, minute: int = 0, note: str = "") -> Vote:
    return Vote(IDS[i], annotator, label, NOW + 2 * DAY + timedelta(minutes=minute), note)


def leased(store: Store, annotator: str, minute: int = 0, n: int = 1, needed: int = 1) -> list[int]:
    """Which tasks somebody gets in this minute."""
    now = NOW + 2 * DAY + timedelta(minutes=minute)
    return [
        IDS.index(t.prediction_id) for t in store.queue.lease(annotator, now, now + SOON, n, needed)
    ]


def states(store: Store, minute: int = 0) -> dict[str, int]:
    """Those that some task is in."""
    found = store.queue.state(NOW + 2 * DAY + timedelta(minutes=minute))
    return {state: n for state, n in found.items() if n}


def test_a_task_is_one_annotators_until_the_lease_is_over(store: Store) -> None:
    asked(store, 3)
    assert leased(store, "ana") == [0]
    assert leased(store, "ana", 5) == [0]  # the page was loaded again
    assert leased(store, "bob", 5) == [1]
    assert leased(store, "cy", 5, n=5) == [2]
    assert leased(store, "dee", 5) == []
    assert states(store, 5) == {"leased": 3}
    assert leased(store, "dee", 20) == [0]  # five minutes and fifteen
    assert leased(store, "ana", 20) == [1]  # bob's, since her own is dee's now
    assert states(store, 60) == {"open": 3}


def test_a_lease_carries_what_an_annotator_needs(store: Store) -> None:
    [task] = asked(store, 1).queue.lease("ana", NOW, NOW + SOON)
    assert task == AnnotationTask(
        IDS[0], NOW + DAY, "r", "random", 0.5, False, text="text 0", predicted="a", request_id="r0"
    )


def test_the_oldest_round_comes_first_then_the_oldest_request(store: Store) -> None:
    store.answers.log([prediction(i) for i in range(4)])
    rounds = {3: NOW, 0: NOW + DAY, 2: NOW, 1: NOW + DAY}
    store.queue.add([AnnotationTask(IDS[i], t, "r", "random", 0.5, i == 1) for i, t in rounds.items()])
    assert leased(store, "ana", n=4) == [2, 3, 0, 1]


def test_a_vote_settles_a_task_that_needs_one(store: Store) -> None:
    asked(store, 2)
    assert leased(store, "ana") == [0]
    assert store.queue.vote(says(0, "ana", "b"), needed=1) == "done"
    assert store.labels.of(IDS[:2]) == {IDS[0]: "b"}
    assert leased(store, "ana") == [1]
    assert states(store) == {"leased": 1, "done": 1}
    assert store.labels.unclaimed() == (1, 0)


def test_two_votes_that_agree_settle_a_task_that_needs_two(store: Store) -> None:
    asked(store, 1)
    assert leased(store, "ana", needed=2) == leased(store, "bob", needed=2) == [0]
    assert leased(store, "cy", needed=2) == []
    assert store.queue.vote(says(0, "bob", "b", 3), needed=2) == "waiting"
    assert leased(store, "cy", needed=2) == []  # ana has it
    assert leased(store, "cy", 30, needed=2) == [0]
    assert store.queue.vote(says(0, "ana", "b", 5), needed=2) == "done"
    row = store.labels.claim("v0002", NOW + 3 * DAY).iloc[0]
    assert (row["target"], row["annotator"]) == ("b", "ana, bob")


def test_two_votes_that_differ_wait_for_an_adjudicator(store: Store) -> None:
    asked(store, 2)
    store.queue.vote(says(0, "ana", "a"), needed=2)
    store.queue.vote(says(0, "cy", None, note="too short"), needed=2)
    assert store.queue.vote(says(0, "bob", "b"), needed=2) == "disputed"
    assert leased(store, "dee", needed=2) == [1]  # another opinion settles nothing
    assert states(store, 60) == {"open": 1, "disputed": 1}
    [dispute] = store.reviews.disputed()
    assert (dispute.task.prediction_id, dispute.task.text) == (IDS[0], "text 0")
    assert dispute.votes == [
        says(0, "ana", "a"),
        says(0, "bob", "b"),
        says(0, "cy", None, note="too short"),
    ]
    assert dispute.reason == "ana says 'a', bob says 'b'"
    for _ in range(2):
        store.reviews.adjudicate(IDS[0], "c", "eve", NOW + 2 * DAY)
    assert store.reviews.disputed() == []
    assert store.labels.of(IDS[:1]) == {IDS[0]: "c"}
    with pytest.raises(LabelError, match="this prediction is already labelled 'c'"):
        store.queue.vote(says(0, "ana", "b"), needed=2)
    store.queue.unvote(IDS[0], "ana", *TIME)  # the adjudicator's label does not stand on it
    assert store.labels.of(IDS[:1]) == {IDS[0]: "c"}


def test_the_same_vote_again_is_harmless_and_another_one_replaces_it(store: Store) -> None:
    asked(store, 1)
    for label in ("a", "a", "b", "b"):
        assert store.queue.vote(says(0, "ana", label), needed=2) == "waiting"
    assert store.queue.votes([IDS[0]]) == [says(0, "ana", "b")]
    store.queue.vote(says(0, "ana", "b", 9), needed=2)
    assert store.queue.vote(says(0, "bob", "b"), needed=2) == "done"
    assert store.queue.vote(says(0, "bob", "b", 9), needed=2) == "done"
    assert store.queue.votes([IDS[0]]) == [says(0, "ana", "b"), says(0, "bob", "b")]


def test_a_vote_that_was_wrong_is_taken_back(store: Store) -> None:
    asked(store, 1)
    store.queue.vote(says(0, "ana", "a"), needed=1)
    with pytest.raises(LabelError) as fault:
        store.queue.vote(says(0, "ana", "b"), needed=1)
    assert str(fault.value) == (
        "this prediction is already labelled 'a'\n"
        f"  where:    {IDS[0]}\n"
        "  got:      'b' by ana\n"
        "  expected: 'a', which ana said\n"
        f"  do:       everloop label adjudicate {IDS[0]} LABEL"
    )
    for _ in range(2):
        store.queue.unvote(IDS[0], "ana", *TIME)
    assert (store.labels.of(IDS), states(store)) == ({}, {"leased": 1})
    assert store.queue.vote(says(0, "ana", "b"), needed=1) == "done"
    assert store.labels.of(IDS) == {IDS[0]: "b"}


def test_a_label_that_a_dataset_has_is_not_taken_back(store: Store) -> None:
    asked(store, 1)
    store.queue.vote(says(0, "ana", "a"), needed=1)
    store.labels.claim("v0002", NOW + 3 * DAY)
    with pytest.raises(LabelError) as fault:
        store.queue.unvote(IDS[0], "ana", *TIME)
    assert str(fault.value) == (
        "a dataset has taken this label\n"
        f"  where:    {IDS[0]}\n"
        "  got:      'a' in v0002\n"
        "  expected: a label that no dataset has taken\n"
        f"  do:       everloop label adjudicate {IDS[0]} LABEL"
    )
    assert store.labels.of(IDS) == {IDS[0]: "a"}


def test_who_comes_late_may_agree_and_not_differ(store: Store) -> None:
    asked(store, 1)
    store.queue.vote(says(0, "ana", "a"), needed=1)
    assert store.queue.vote(says(0, "bob", "a"), needed=1) == "done"
    assert store.queue.vote(says(0, "cy", None), needed=1) == "done"
    with pytest.raises(LabelError, match="'b' by dee"):
        store.queue.vote(says(0, "dee", "b"), needed=1)
    store.queue.unvote(IDS[0], "bob", *TIME)  # nothing stands on it
    assert store.labels.of(IDS) == {IDS[0]: "a"}
    store.queue.unvote(IDS[0], "ana", *TIME)
    assert store.labels.of(IDS) == {}


def test_what_one_skips_another_may_label(store: Store) -> None:
    asked(store, 2)
    assert store.queue.vote(says(0, "ana", None, note="two intents"), needed=1) == "skipped"
    assert leased(store, "ana", n=9) == [1]
    assert states(store) == {"leased": 1, "skipped": 1}
    assert leased(store, "bob", n=9) == [0]
    assert store.queue.progress("ana") == Progress(labelled=0, skipped=1, left=1)
    assert store.queue.vote(says(0, "bob", "a"), needed=1) == "done"
    assert store.queue.progress("bob") == Progress(labelled=1, skipped=0, left=1)


def test_of_many_votes_those_that_cannot_be_taken_say_why(store: Store) -> None:
    asked(store, 2)
    found = store.queue.vote_all(
        [
            says(1, "ana", "a"),
            says(9, "ana", "a"),
            says(0, "ana", "a"),
            says(1, "ana", "b"),
        ],
        needed=1,
    )
    assert [f if isinstance(f, str) else f.what for f in found] == [
        "done",
        "no task for this prediction id",
        "done",
        "this prediction is already labelled 'a'",
    ]
    assert store.labels.of(IDS) == {IDS[0]: "a", IDS[1]: "a"}


def test_where_fewer_votes_are_needed_now_what_has_them_is_settled(store: Store) -> None:
    asked(store, 3)
    store.queue.vote_all([says(0, "ana", "a"), says(1, "ana", "a"), says(1, "bob", "b")], needed=2)
    assert store.queue.settle(needed=2) == 0
    assert store.queue.settle(needed=1) == 1
    assert (store.queue.settle(needed=1), states(store)) == (0, {"open": 1, "disputed": 1, "done": 1})


def test_a_label_from_elsewhere_closes_its_task(store: Store) -> None:
    asked(store, 2)
    store.labels.annotate([Annotation(IDS[0], "a", "file", NOW)])
    assert leased(store, "ana", n=2) == [1]
    store.answers.log([prediction(5)])
    store.labels.annotate([Annotation(IDS[5], "a", "file", NOW)])
    store.queue.add([AnnotationTask(IDS[5], NOW, "r", "random", 0.5, False)])
    assert states(store) == {"leased": 1, "done": 2}


def test_a_corrected_label_goes_into_the_next_dataset_and_the_last_one_stays_as_it_was(
    store: Store,
) -> None:
    asked(store, 2)
    store.queue.vote_all([says(0, "ana", "a"), says(1, "ana", "a")], needed=1)
    first = store.labels.claim("v0002", NOW + 3 * DAY)
    store.reviews.adjudicate(IDS[0], "b", "eve", NOW + 2 * DAY)  # before the time that v0002 goes up to
    assert store.labels.unclaimed() == (1, 0)
    assert store.labels.claim("v0002", NOW + 3 * DAY).equals(first)
    second = store.labels.claim("v0003", NOW + 4 * DAY)
    assert second[["prediction_id", "target", "annotator"]].to_numpy().tolist() == [
        [IDS[0], "b", "eve"]
    ]
    store.reviews.adjudicate(IDS[0], "a", "eve", NOW + 5 * DAY)
    assert store.labels.claim("v0003", NOW + 4 * DAY).equals(second)
    assert store.labels.claim("v0004", NOW + 6 * DAY)["target"].tolist() == ["a"]
    assert store.labels.claim("v0002", NOW + 3 * DAY).equals(first)


def test_a_label_that_looks_wrong_waits_for_an_adjudicator_and_is_asked_for_once(store: Store) -> None:
    asked(store, 2)
    store.queue.vote_all([says(0, "ana", "a"), says(1, "ana", "a")], needed=1)
    doubts = [
        Review(IDS[i], NOW + 3 * DAY, "a", "b", score, f"text {i}")
        for i, score in enumerate((0.2, 0.1))
    ]
    assert store.reviews.add(doubts) == 2
    assert store.reviews.add(doubts) == 0
    worst, other = store.reviews.disputed()
    assert worst == Dispute(
        store.queue.tasks([IDS[1]])[IDS[1]],
        [says(1, "ana", "a")],
        "'a' has a chance of 10%, by a model that did not learn from it",
        label="a",
        suggested="b",
    )
    store.reviews.adjudicate(IDS[1], "b", "eve", NOW + 4 * DAY)
    store.reviews.adjudicate(IDS[0], "a", "eve", NOW + 4 * DAY)  # it was right
    assert (store.reviews.disputed(), store.reviews.count()) == ([], 0)
    assert store.labels.of(IDS) == {IDS[0]: "a", IDS[1]: "b"}
    assert store.reviews.add(doubts) == 0
    assert store.reviews.add([Review(IDS[1], NOW + 5 * DAY, "b", "a", 0.3, "text 1")]) == 1
    assert [d.suggested for d in store.reviews.disputed()] == ["a"]
    assert other.label == "a"


def test_what_is_no_task_cannot_be_judged(store: Store) -> None:
    for judge in (
        lambda: store.queue.vote(says(0, "ana", "a"), needed=1),
        lambda: store.queue.unvote(IDS[0], "ana", *TIME),
        lambda: store.reviews.adjudicate(IDS[0], "a", "eve", NOW),
    ):
        with pytest.raises(LabelError, match=f"no task for this prediction id\n  where:    {IDS[0]}"):
            judge()


def test_no_two_annotators_get_the_same_task_at_the_same_time(store: Store) -> None:
    asked(store, 40)
    got: dict[str, list[int]] = {name: [] for name in ("ana", "bob", "cy")}

    def work(name: str) -> None:
        own = Store(store.url)
        while found := leased(own, name, n=2):
            got[name] += found
            own.queue.vote_all([says(i, name, "a") for i in found], needed=1)
        own.close()

    threads = [Thread(target=work, args=(name,)) for name in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(i for found in got.values() for i in found) == list(range(40))
    assert states(store) == {"done": 40}


def test_votes_that_meet_settle_a_task_all_the_same(store: Store) -> None:
    asked(store, 30)

    def work(name: str) -> None:
        own = Store(store.url)
        for i in range(30):
            own.queue.vote(says(i, name, "a"), needed=3)
        own.close()

    threads = [Thread(target=work, args=(name,)) for name in ("ana", "bob", "cy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(store) == {"done": 30}


def test_a_vote_taken_back_leaves_the_label_that_others_agree_on(store: Store) -> None:
    asked(store, 1)
    for who in ("ana", "bob"):
        store.queue.vote(says(0, who, "a"), needed=1)
    store.queue.unvote(IDS[0], "ana", *TIME)
    assert store.labels.claim("v0002", NOW + 3 * DAY)[["target", "annotator"]].to_numpy().tolist() == [
        ["a", "bob"]
    ]


def test_a_review_keeps_the_text_no_longer_than_it_waits(store: Store) -> None:
    asked(store, 1)
    store.queue.vote(says(0, "ana", "a"), needed=1)
    store.reviews.add([Review(IDS[0], NOW, "a", "b", 0.1, "a secret")])
    assert store.reviews.open()[0].text == "a secret"
    store.reviews.adjudicate(IDS[0], "a", "eve", NOW)
    with store.database.read() as db:
        assert db.exec_driver_sql("SELECT text FROM reviews").scalar_one() == ""


def test_who_takes_a_vote_back_has_the_task_again(store: Store) -> None:
    asked(store, 2)
    assert leased(store, "ana") == [0]
    store.queue.vote(says(0, "ana", "a"), needed=1)
    store.queue.unvote(IDS[0], "ana", *TIME)
    assert leased(store, "bob") == [1]
    assert leased(store, "ana") == [0]
    store.queue.unvote(IDS[1], "ana", *TIME)  # what was never said gives nothing
    assert leased(store, "ana", n=2) == [0]


def test_a_task_that_another_has_by_now_stays_theirs(store: Store) -> None:
    asked(store, 1)
    store.queue.vote(says(0, "ana", None), needed=1)  # a skip, so that others are given it
    assert leased(store, "bob") == [0]
    store.queue.unvote(IDS[0], "ana", *TIME)
    assert leased(store, "ana") == []
    assert leased(store, "bob", 5) == [0]


def test_votes_of_one_file_are_cast_one_after_the_other(store: Store) -> None:
    """What the first of them settled, the next one meets; a later word of one annotator is the word."""
    asked(store, 3)
    rows = [
        (0, "ana", "a"),
        (0, "bob", "a"),
        (0, "cy", "b"),
        (1, "ana", "a"),
        (1, "ana", "b"),
        (1, "bob", "b"),
    ]
    found = store.queue.vote_all([says(*r) for r in rows], needed=2)
    assert [str(x).split(chr(10))[0] for x in found] == [
        "waiting", "done", "this prediction is already labelled 'a'", "waiting", "waiting", "done",
    ]  # fmt: skip
    assert store.labels.of(IDS[:3]) == {IDS[0]: "a", IDS[1]: "b"}
    first = [says(2, "ana", "a"), says(2, "ana", "b")]
    kept = store.queue.vote_all(first, needed=2, replace=False)
    assert [type(x) for x in kept] == [str, LabelError]
    assert store.queue.votes([IDS[2]]) == first[:1]
