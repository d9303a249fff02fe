"""How right an answer is, is stored when a truth comes, changes or goes, and holds under its label set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from core.label_set import LabelSet, Operation
from core.records.labels import Annotation, AnnotationTask, Vote
from core.store import Store
from tests.logs import EVER, NOW, row

LATER = NOW + timedelta(hours=1)
ID = row(0).prediction_id
MERGED = LabelSet((Operation("merge", ("a", "b"), ("c",)),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    made.answers.log([row(0), row(0, "shadow", output="b"), row(1)])
    made.queue.add([AnnotationTask(ID, NOW, "r", "random", 0.5, False)])
    yield made
    made.close()


def stored(store: Store) -> dict[str, float]:
    """By variant, of the first request: what the table says, whatever a reader would make of it."""
    engine = create_engine(store.url)
    query = "SELECT variant, value FROM scores JOIN predictions USING (prediction_id)"
    with engine.connect() as db:
        found = {str(variant): float(value) for variant, value in db.execute(text(query))}
    engine.dispose()
    return found


def test_a_label_scores_every_answer_to_its_request(store: Store) -> None:
    assert stored(store) == {}
    store.labels.annotate([Annotation(ID, "a", "ana", LATER)])
    assert stored(store) == {"champion": 1.0, "shadow": 0.0}
    rows = store.answers.side_by_side(*EVER).set_index(["request_id", "variant"])["score"].fillna(-1)
    assert rows.to_dict() == {("r0", "champion"): 1.0, ("r0", "shadow"): 0.0, ("r1", "champion"): -1}


def test_a_correction_scores_again_and_a_vote_taken_back_unscores(store: Store) -> None:
    store.queue.vote(Vote(ID, "ana", "a", LATER), needed=1)
    assert stored(store) == {"champion": 1.0, "shadow": 0.0}
    store.queue.unvote(ID, "ana", LATER, LATER + timedelta(hours=1))
    assert stored(store) == {}
    store.queue.vote(Vote(ID, "ana", "a", LATER), needed=1)
    store.reviews.adjudicate(ID, "b", "bob", LATER)
    assert stored(store) == {"champion": 0.0, "shadow": 1.0}
    store.reviews.ask_again([ID], "bob", LATER, "doubted")
    assert stored(store) == {}


def test_a_merge_scores_again_and_before_that_the_reader_judges(store: Store) -> None:
    store.labels.annotate([Annotation(ID, "b", "ana", LATER)])
    merged = store.under(MERGED)
    seen = merged.answers.window(*EVER).rows["score"].fillna(-1).tolist()
    assert seen == [1.0, -1]
    assert stored(store) == {"champion": 0.0, "shadow": 1.0}  # under the names of before
    assert (merged.labels.rescore(), merged.labels.rescore()) == (1, 0)
    assert stored(store) == {"champion": 1.0, "shadow": 1.0}
    assert merged.answers.window(*EVER).rows["score"].fillna(-1).tolist() == [1.0, -1]
    assert store.answers.window(*EVER).rows["score"].fillna(-1).tolist() == [0.0, -1]


def test_an_answer_that_comes_after_its_label_is_judged_when_it_is_read(store: Store) -> None:
    store.labels.annotate([Annotation(ID, "a", "ana", LATER)])
    store.answers.log([row(0, "challenger", output="b", model_version="2")])
    rows = store.answers.side_by_side(*EVER).set_index("variant")
    assert rows["score"].get("challenger") == 0.0
