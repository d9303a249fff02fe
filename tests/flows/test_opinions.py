"""Whose ratings and preferences a version takes, and what becomes of the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.records.answers import Feedback
from core.records.labels import VERIFY, Annotation, AnnotationTask
from flows.opinions import opinions
from flows.session import Session
from pipelines.datasets.opinions import SCHEMA, add
from tests.fake_models import NOW
from tests.generation_loop import make_session
from tests.serving.test_written_feedback import CALL, OTHER, SAME, A, B, written

AS_OF = NOW + timedelta(days=1)
NONE = pd.DataFrame(columns=["row_id", "set", "target", "annotator"])


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = make_session(tmp_path / "shop")
    made.store.answers.log([A, B, *(written(f"r{i}") for i in range(12))])
    return made


def say(
    session: Session, id: str, kind: Any, value: str, about: str = A.prediction_id, **more: str
) -> None:
    session.store.feedback.replace(Feedback(id, about, NOW, kind, value, **more))


def test_ratings_and_preferences_are_taken_once_and_again_when_they_change(session: Session) -> None:
    say(session, "a", "rating", "0.25", source="ana")
    say(session, "b", "preference", B.prediction_id)
    say(session, "c", "comment", "well")
    found = opinions(session, "v0002", AS_OF, NONE)
    assert list(found) == SCHEMA.names
    assert found[["id", "output"]].to_numpy().tolist() == [["a", CALL], ["b", CALL]]
    assert found["rejected"].fillna("").tolist() == ["", OTHER]
    assert found["score"].iloc[0] == 0.25
    assert opinions(session, "v0002", AS_OF, NONE).equals(found)
    told = session.store.decisions.read("labeling")[-1]
    assert told.verdict == "1 pair, 1 rating"
    add(session.workspace.reservoir, "v0002", found)
    assert opinions(session, "v0003", AS_OF, NONE).empty
    say(session, "b", "preference", A.prediction_id, B.prediction_id)
    again = opinions(session, "v0003", AS_OF, NONE)
    assert again[["id", "output", "rejected"]].to_numpy().tolist() == [["b", OTHER, CALL]]


def test_one_source_says_so_much_a_day_and_a_liar_nothing(session: Session) -> None:
    for i in range(12):
        about = written(f"r{i}").prediction_id
        say(session, f"u{i:02}", "thumbs", "up", about, caller="key 1")
        say(session, f"p{i}", "preference", B.prediction_id, source="ana")  # an annotator, on the page
    for i in range(2):
        key = written(f"r{i}").prediction_id
        say(session, f"l{i}", "demonstration", OTHER, key, source="bob")
        session.store.queue.add([AnnotationTask(key, NOW, "r", VERIFY, 1.0, False)])
        session.store.labels.annotate([Annotation(key, CALL, "ana", NOW, "demonstration")])
    say(session, "m", "thumbs", "down", source="bob")
    found = opinions(session, "v0002", AS_OF, NONE)
    assert found["id"].tolist() == [
        *sorted(f"p{i}" for i in range(12)),
        *(f"u{i:02}" for i in range(10)),
    ]
    told = session.store.decisions.read("labeling")[-1].reason
    assert "2 beyond what one source may say in a day" in told
    assert "1 from a source that people found wrong more often than right" in told


def test_a_right_answer_is_better_than_the_one_it_stands_for(session: Session) -> None:
    rows = pd.DataFrame(
        {
            "row_id": [A.prediction_id, B.prediction_id, written("r0").prediction_id, "never served"],
            "set": ["train", "train", "audit", "train"],
            "target": [SAME, CALL, OTHER, CALL],
            "annotator": "ana",
            "input": "pay my card",
            "timestamp": NOW,
        }
    )
    found = opinions(session, "v0002", AS_OF, rows)
    assert found[["id", "output", "rejected", "source"]].to_numpy().tolist() == [
        [B.prediction_id, CALL, OTHER, "ana"]
    ]
