"""Whose words train: users' labels are taken, asked of a person, or wait, each with its reason."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from core.models.classifier.head import Head
from core.records.answers import Feedback
from core.records.labels import VERIFY, Annotation, AnnotationTask
from core.store import Store
from core.store.feedback import Record, Word
from core.tasks import Generation
from pipelines.labeling import Labeling, Users
from pipelines.labeling.words import LabelKnowledge, fates
from tests.core.store.test_queue import DAY, IDS, NOW
from tests.pipelines.labeling.test_weak_labels import answered

LABELS = ["a", "b", "c"]
WHEN = datetime(2026, 1, 5, 12, tzinfo=UTC)
# the head says a, b or c of the three unit vectors, each with 0.95
HEAD = Head(LABELS, 3.65 * np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
KNOWN = LabelKnowledge(HEAD, "minilm", {"a": 100, "b": 100, "c": 100}, {}, {}, {})
MANY = replace(KNOWN, people=dict.fromkeys(LABELS, 1000))  # no share of their rows is in the way


def word(i: int, label: str, looks: str = "a", source: str = "ann", day: int = 0) -> Word:
    where = np.eye(3, dtype=np.float16)[LABELS.index(looks)]
    when = WHEN + timedelta(days=day, seconds=i)
    return Word(f"p{i}", label, "correction", source, when, "a", "minilm", where)


def counted(
    words: list[Word], known: LabelKnowledge = KNOWN, room: int = 10, **settings: float
) -> dict[str, int]:
    return dict(Counter(fates(words, known, Users(**settings), room)))  # type: ignore[arg-type]


def test_what_peoples_labels_bear_out_trains_and_what_they_contradict_is_asked() -> None:
    words = [word(0, "b", looks="b"), word(1, "b", looks="a"), word(2, "a", looks="a")]
    assert fates(words, KNOWN, Users(), 10) == ["trains", "asked", "trains"]


def test_nothing_trains_unasked_before_people_labelled_anything() -> None:
    assert counted([word(i, "a") for i in range(3)], replace(KNOWN, head=None)) == {"asked": 3}
    assert counted([word(0, "a")], replace(KNOWN, encoder="another")) == {"asked": 1}
    assert counted([replace(word(0, "a"), embedding=np.zeros(0, np.float16))]) == {"asked": 1}


def test_one_source_is_capped_each_day() -> None:
    words = [word(i, "a", day=i // 30) for i in range(60)]
    assert counted(words, MANY, per_source=10) == {"trains": 20, "source": 40}
    taken = {("ann", "2026-01-05"): 8}
    assert counted(words, replace(MANY, taken=taken), per_source=10) == {
        "trains": 12,
        "source": 48,
    }


def test_a_day_is_capped_over_all_sources() -> None:
    words = [word(i, LABELS[i % 3], LABELS[i % 3], source=f"s{i}") for i in range(90)]
    assert counted(words, MANY, per_day=20) == {"trains": 20, "day": 70}


def test_many_sources_together_give_a_share_of_a_labels_rows_at_most() -> None:
    words = [word(i, "a", source=f"s{i % 20}") for i in range(60)]
    assert counted(words, per_day=100) == {"trains": 5, "share": 55}
    known = replace(KNOWN, users={"a": 3})
    assert counted(words, known, per_day=100) == {"trains": 2, "share": 58}


def test_what_is_beyond_a_cap_is_asked_where_it_says_more_than_the_model_does() -> None:
    unsure = Head(LABELS, np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    known = replace(KNOWN, head=unsure)  # the others are a third as likely
    words = [word(i, "b" if i % 2 else "a", source=f"s{i}") for i in range(40)]
    found = fates(words, known, Users(), room=3)
    assert Counter(found) == {"trains": 10, "share": 27, "asked": 3}
    assert {words[i].label for i, fate in enumerate(found) if fate == "asked"} == {"b"}


def test_a_label_that_no_person_gave_takes_none() -> None:
    assert counted([word(0, "a")], replace(KNOWN, people={})) == {"share": 1}


def test_a_flood_of_one_source_leaves_room_to_ask_about_the_others() -> None:
    flood = [word(i, "c") for i in range(60)]
    honest = [word(60 + i, "b", source=f"u{i}") for i in range(4)]
    found = fates([*flood, *honest], KNOWN, Users(), room=8)
    assert Counter(found) == {"asked": 8, "unlikely": 56}
    assert found[60:] == ["asked"] * 4
    assert counted(flood, room=-3) == {"unlikely": 60}


def test_a_source_that_people_found_wrong_is_believed_no_more() -> None:
    words = [word(0, "a"), word(1, "c"), word(2, "a", source="bob")]
    known = replace(KNOWN, checked={"ann": Record(1, 2), "bob": Record(2, 2)})
    assert fates(words, known, Users(), 10) == ["distrusted", "distrusted", "trains"]
    assert counted(words[:1], replace(KNOWN, checked={"ann": Record(0, 1)})) == {"trains": 1}


def test_of_what_a_model_should_have_written_the_category_is_judged_and_the_rest_is_news() -> None:
    known = replace(MANY, head=replace(HEAD, labels=[f"name={x}" for x in LABELS]))
    known = replace(known, people={f"name={x}": 19 for x in LABELS}, category=Generation().category)
    words = [
        replace(word(i, looks="a", label="a"), label=json.dumps({"name": name, "arguments": {"x": i}}))
        for i, name in enumerate(["a", "a", "b", "strange"])
    ]
    words.append(replace(word(4, "a"), label="no JSON"))
    found = fates(words, known, Users(), room=0)
    assert found == ["trains", "share", "unlikely", "unlikely", "unlikely"]
    assert fates(words, known, Users(), room=9) == ["trains", *["asked"] * 4]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


def tell(store: Store, i: int, value: str, source: str = "", caller: str = "") -> None:
    said = Feedback(f"{i}-{value}-{source}", IDS[i], NOW, "correction", value, source, caller)
    store.feedback.add([said])


def said(store: Store) -> list[Word]:
    return store.feedback.words(NOW + DAY, Labeling().trusted, ["a", "b"])


def test_the_source_is_who_the_server_saw_not_who_the_caller_says_it_is(store: Store) -> None:
    answered(store)
    tell(store, 0, "b", source="ann", caller="address 1")
    tell(store, 1, "b", source="ann")
    assert [w.source for w in said(store)] == ["address 1", "ann"]


def test_a_word_that_is_asked_waits_for_the_answer_and_then_is_a_persons(store: Store) -> None:
    answered(store)
    tell(store, 0, "b", source="ann")
    tell(store, 1, "b", source="ann")
    store.queue.add([AnnotationTask(IDS[i], NOW, "r", VERIFY, 1.0, False) for i in (0, 1)])
    assert said(store) == []
    assert store.labels.claim("v0002", NOW + DAY, Labeling().trusted, ["a", "b"]).empty
    assert (
        store.feedback.words_asked(),
        store.feedback.asked_since(NOW - DAY),
        store.feedback.words_checked(),
    ) == (2, 2, {})
    store.labels.annotate([Annotation(IDS[0], "b", "eve", NOW), Annotation(IDS[1], "a", "eve", NOW)])
    assert (store.feedback.words_asked(), store.feedback.words_checked()) == (0, {"ann": Record(1, 1)})
    rows = store.labels.claim("v0003", NOW + DAY, Labeling().trusted, ["a", "b"])
    assert rows[["target", "annotator"]].to_numpy().tolist() == [["b", "eve"], ["a", "eve"]]
    assert rows["policy"].tolist() == [VERIFY, VERIFY]


def test_what_an_answer_to_a_check_says_is_no_draw_of_traffic(store: Store) -> None:
    """Answers that users complained of are wrong more often: they must not count in live accuracy."""
    answered(store)
    store.queue.add([AnnotationTask(IDS[0], NOW, "r", VERIFY, 1.0, False)])
    assert store.answers.window(NOW, NOW + DAY).rows["propensity"].isna().all()
    assert store.queue.picks("1", NOW - DAY, NOW + DAY) == []


def test_what_datasets_took_counts_by_source_and_day(store: Store) -> None:
    answered(store)
    for i in range(3):
        tell(store, i, "b", caller=f"key {i % 2}")
    chosen = {IDS[0], IDS[2]}
    rows = store.labels.claim("v0002", NOW + DAY, Labeling().trusted, ["a", "b"], chosen)
    assert set(rows["prediction_id"]) == chosen
    assert store.feedback.words_taken() == {("key 0", f"{NOW:%Y-%m-%d}"): 2}
    assert store.feedback.newest(NOW) == NOW
    assert store.feedback.newest(NOW - DAY) is None
