"""What users say of answers becomes labels where it is trusted, and never touches what people labelled."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.records.answers import Feedback
from core.records.labels import Annotation, AnnotationTask
from core.store import Store
from pipelines.labeling import Labeling
from tests.core.store.test_queue import DAY, IDS, NOW
from tests.core.store.test_store import prediction

LABELS = ["a", "b"]
TRUST = Labeling().trusted


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/store.db")


def answered(store: Store) -> None:
    """Ten answers, all `a`."""
    store.answers.log([prediction(i) for i in range(10)])


def tell(store: Store, i: int, kind: str, value: str, minute: int = 0) -> None:
    when = NOW + DAY / 1440 * minute
    store.feedback.add([Feedback(f"{i}-{kind}-{value}-{minute}", IDS[i], when, kind, value)])  # type: ignore[arg-type]


def claimed(store: Store, partition: str = "v0002", **options: object) -> pd.DataFrame:
    given = {"trust": TRUST, "labels": LABELS, **options}
    return store.labels.claim(partition, NOW + DAY, **given)  # type: ignore[arg-type]


def test_what_is_trusted_trains_with_its_trust_and_without_a_propensity(store: Store) -> None:
    answered(store)
    tell(store, 0, "label", "b")
    tell(store, 1, "correction", "b")
    tell(store, 2, "thumbs", "up")
    rows = claimed(store)
    assert rows["prediction_id"].tolist() == IDS[:2]
    assert rows["target"].tolist() == ["b", "b"]
    assert rows["trust"].tolist() == [1.0, 0.8]
    assert set(rows["policy"]) == set(rows["annotator"]) == {"feedback"}
    assert rows["propensity"].isna().all()
    assert not rows["audit"].any()
    assert claimed(store).equals(rows)
    assert claimed(store, "v0003").empty


def test_thumbs_up_is_the_answers_own_label_where_it_is_trusted(store: Store) -> None:
    answered(store)
    tell(store, 0, "thumbs", "up")
    tell(store, 1, "thumbs", "down")
    trusted = Labeling(trust_at_least=0.3).trusted
    assert claimed(store, trust=trusted)[["prediction_id", "target"]].to_numpy().tolist() == [
        [IDS[0], "a"]
    ]


def test_the_most_trusted_word_counts_then_the_last_one(store: Store) -> None:
    answered(store)
    tell(store, 0, "label", "b", minute=1)
    tell(store, 0, "correction", "a", minute=2)
    tell(store, 1, "correction", "a", minute=1)
    tell(store, 1, "correction", "b", minute=2)
    assert claimed(store)["target"].tolist() == ["b", "b"]


def test_users_make_no_new_class(store: Store) -> None:
    answered(store)
    tell(store, 0, "correction", "something else")
    assert claimed(store).empty


def test_no_truth_comes_of_feedback(store: Store) -> None:
    """Windows, rollouts and budgets do not see it: it is not drawn, so it would bias them all."""
    answered(store)
    tell(store, 0, "label", "b")
    claimed(store)
    assert store.answers.window(NOW, NOW + DAY).rows["truth"].isna().all()
    assert store.answers.side_by_side(NOW, NOW + DAY)["truth"].isna().all()
    assert (store.labels.count(), store.labels.unclaimed()) == (0, (0, 0))


def test_what_people_label_is_theirs(store: Store) -> None:
    answered(store)
    for i in range(3):
        tell(store, i, "label", "b")
    store.labels.annotate([Annotation(IDS[0], "a", "ana", NOW)])
    store.queue.add([AnnotationTask(IDS[1], NOW, "r", "random", 0.5, True)])
    assert claimed(store)[["prediction_id", "annotator"]].to_numpy().tolist() == [
        [IDS[0], "ana"],
        [IDS[2], "feedback"],
    ]
    store.queue.add([AnnotationTask(IDS[2], NOW, "r", "random", 0.5, False)])
    store.labels.annotate([Annotation(IDS[i], "a", "ana", NOW) for i in (1, 2)])
    again = claimed(store)  # of the same partition: the person's word is for the next one
    assert again["annotator"].tolist() == ["ana", "ana", "feedback"]
    assert claimed(store, "v0003")[["prediction_id", "annotator"]].to_numpy().tolist() == [
        [IDS[2], "ana"]
    ]


def test_nothing_is_trusted_where_the_bar_is_too_high(store: Store) -> None:
    answered(store)
    tell(store, 0, "correction", "b")
    settings = Labeling(trust_at_least=1.0)
    assert settings.trusted == {"label": 1.0}
    assert claimed(store, trust=settings.trusted).empty
    assert claimed(store, trust={}).empty
