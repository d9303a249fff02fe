"""The users of a replay: who speaks hangs on the request, what they say on the truth; again changes nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from core.records.answers import Request
from core.state import Champion
from core.store import Store
from everloop.people import People
from everloop.replay import Replay
from serving.service import Service
from tests.fake_models import NOW, Shelf
from tests.small_loop import job

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    made.state.write(Champion("1"))
    return made


def test_a_share_of_the_answers_gets_thumbs_and_wrong_ones_are_corrected(store: Store) -> None:
    service = Service(store, Shelf().load, max_text=100)
    requests = [Request(f"r{i}", NOW, f"text {i}", user_key=f"u{i % 7}") for i in range(400)]
    answers = service.predict(requests)
    truth = {a.request_id: a.output if i % 2 else "other" for i, a in enumerate(answers)}
    del truth["r0"]  # of which nobody knows the truth
    people = People(thumbs=0.3, corrections=0.2)
    people.speak(service, answers, truth)
    said = store.feedback.within(NOW, NOW + DAY)
    people.speak(service, answers[:50], truth)
    assert store.feedback.within(NOW, NOW + DAY) == said
    by_id = {a.prediction_id: a for a in answers}
    thumbs = [f for f in said if f.kind == "thumbs"]
    corrected = [f for f in said if f.kind == "correction"]
    assert len(thumbs) == pytest.approx(120, abs=30)
    assert len(corrected) == pytest.approx(40, abs=15)
    for word in said:
        answer = by_id[word.prediction_id]
        right = truth[answer.request_id]
        expected = right if word.kind == "correction" else "up" if right == answer.output else "down"
        assert (word.value, word.source) == (expected, answer.user_key)
    assert {by_id[f.prediction_id].output for f in corrected} & {"other"} == set()


def test_a_replay_with_other_users_is_another_replay() -> None:
    plain: Replay = job()
    assert Replay(plain.stream, plain.train, plain.evaluation).name() == plain.name()
    spoken = Replay(plain.stream, plain.train, plain.evaluation, People(thumbs=0.1))
    assert spoken.name() != plain.name()
