"""Topics of a workspace: watched with every window, asked about once, closed when they are learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import DataError
from core.records.answers import ClassificationDetail, Prediction
from core.records.labels import Annotation
from core.state import CuratedUntil
from flows import topics as flow
from flows.session import Session
from flows.topics import ask, candidates, follow_topics, open_topics
from monitoring.view import ServedModel, View
from tests.monitoring.changes import DAY, LABELS, NEW, NOW, learnt, traffic, view
from tests.small_loop import make_session

CHANGED = view(traffic(new=0.3))


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A workspace whose log has the window, and whose model learnt from rows of the known topics."""
    made = make_session(tmp_path / "shop")
    window = CHANGED.whole
    made.store.answers.log([_prediction(i) for i in range(len(window))])
    monkeypatch.setattr(flow, "_learnt", lambda *_: learnt())
    return made


def _prediction(i: int) -> Prediction:
    row = CHANGED.whole.rows.iloc[i]
    return Prediction(
        prediction_id=row["prediction_id"],
        request_id=row["request_id"],
        timestamp=row["timestamp"].to_pydatetime(),
        model_version="1",
        variant="champion",
        text=row["text"],
        output=row["output"],
        confidence=float(row["confidence"]),
        detail=ClassificationDetail(np.ones(3, np.float16)),
        embedding=CHANGED.whole.embeddings[i].astype(np.float16),
        encoder="minilm",
        segments={},
        user_key="",
        latency_ms=1.0,
    )


def later(labels: list[str]) -> View:
    """The day after, with nothing new and a model of these labels."""
    quiet = view(traffic(NOW + DAY, seed=5), traffic(NOW, 7, seed=5))
    return replace(quiet, model=ServedModel("2", labels, frozenset(labels), "minilm"))


def test_a_topic_is_counted_remembered_and_shown_with_its_texts(session: Session):
    told: list[str] = []
    session.listen = lambda d: told.append(d.verdict)
    signal = follow_topics(session, CHANGED, NOW)
    assert (signal.name, signal.value) == ("topics.new", 1.0)
    ((topic, texts),) = open_topics(session)
    assert signal.note == topic.name
    assert len(texts) == 3
    (stored,) = session.store.decisions.read("monitoring")
    assert (stored.key, stored.verdict) == (topic.key, "topic")
    before = candidates(session)
    follow_topics(session, CHANGED, NOW)
    assert candidates(session) == before
    assert told == ["topic"]


def test_rows_of_a_topic_are_asked_about_once(session: Session):
    follow_topics(session, CHANGED, NOW)
    ((topic, _),) = open_topics(session)
    asked = ask(session, topic.name, 4, NOW)
    assert (asked.tasks, asked.new, asked.over) == (4, 4, 0)
    tasks = session.store.queue.open()
    assert {t.prediction_id for t in tasks} <= set(topic.members)
    assert {(t.policy, t.audit, t.round) for t in tasks} == {("topic", False, topic.key)}
    assert {t.propensity for t in tasks} == {4 / len(topic.members)}
    again = ask(session, topic.name, 4, NOW + DAY)
    assert (again.tasks, again.new) == (4, 0)
    assert session.store.queue.open() == tasks
    assert ask(session, topic.name, 6, NOW + DAY).new == 2
    window = session.store.answers.window(NOW - DAY, NOW).rows
    picked = window[window["prediction_id"].isin([t.prediction_id for t in tasks])]
    assert len(picked)
    assert picked["propensity"].isna().all()  # so they count in no estimate over all traffic
    assert session.store.queue.picks("1", NOW - DAY, NOW + DAY) == []


def test_a_draw_that_was_stored_and_not_made_goes_on(session: Session, monkeypatch: pytest.MonkeyPatch):
    follow_topics(session, CHANGED, NOW)
    name = candidates(session)[0].name

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session.store.queue, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(session, name, 5, NOW)
    drawn = set(candidates(session)[0].asked)
    ask(session, name, 5, NOW)
    assert {t.prediction_id for t in session.store.queue.open()} == drawn


def test_asking_for_more_than_the_budget_says_so(session: Session):
    follow_topics(session, CHANGED, NOW)
    asked = ask(session, candidates(session)[0].name, 20, NOW)  # labels_per_day is 12 here
    assert (asked.new, asked.over) == (20, 8)


def test_a_topic_that_is_not_there(session: Session):
    with pytest.raises(DataError, match="no open topic has this name"):
        ask(session, "weather", 3, NOW)


def test_a_topic_closes_once_the_model_that_serves_has_learnt_its_label(session: Session):
    follow_topics(session, CHANGED, NOW)
    ask(session, candidates(session)[0].name, 5, NOW)
    session.store.labels.annotate(
        [Annotation(t.prediction_id, NEW, "ana", NOW + DAY / 2) for t in session.store.queue.open()]
    )
    assert follow_topics(session, later(LABELS), NOW + DAY).value == 1.0
    assert follow_topics(session, later([*LABELS, NEW]), NOW + DAY).value == 0.0
    (stored,) = session.store.decisions.read("monitoring")
    assert stored.verdict == "topic learnt"
    assert open_topics(session) == []


def test_what_a_curation_round_may_still_pick_is_not_asked_for(session: Session):
    follow_topics(session, CHANGED, NOW)
    (topic,) = candidates(session)
    times = {m: p.timestamp for m in topic.members if (p := session.store.answers.get(m))}
    until = sorted(times.values())[5]
    session.store.state.write(CuratedUntil(until))
    assert ask(session, topic.name, 1000, NOW).tasks == 5
    assert session.store.queue.ids(topic.members) == {m for m, when in times.items() if when < until}
    session.store.state.write(CuratedUntil(NOW))
    assert ask(session, topic.name, 1000, NOW).tasks == len(topic.members)
