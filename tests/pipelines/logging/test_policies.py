"""What each logging policy leaves in the store, and what the loop makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from core.kept import OTHER, Kept
from core.records.labels import Annotation, AnnotationTask
from core.state import Champion, Retrains
from core.store import Store
from core.store.spool import pack, unpack
from flows import stages
from flows.log import open_writer
from pipelines.logging.profile import Profiled
from pipelines.logging.sample import Sample
from serving.metrics import Metrics
from tests.logs import EVER, NOW, row, stored
from tests.small_loop import make_session

HOUR = timedelta(hours=1)
PROFILE = Profiled(policy="profile")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/store.db")
    yield made
    made.close()


def test_a_sampled_row_carries_its_chance_into_windows_and_datasets(store: Store) -> None:
    policy = Sample(policy="sample", rate=0.25, below=0.5)
    kept = policy.keep([row(i, confidence=0.4 if i < 10 else 0.9) for i in range(200)])
    store.answers.append([kept])
    rows = store.answers.window(*EVER).rows.set_index("request_id")
    assert rows["kept"].tolist() == [1.0] * 10 + [0.25] * (len(rows) - 10)
    assert 30 < len(rows) < 80
    assert store.state.counters()["texts.serving"] == 200
    sure, doubtful = rows.index[-1], "r0"
    ids = [str(rows["prediction_id"][r]) for r in (doubtful, sure)]
    store.queue.add([AnnotationTask(p, NOW, "r", "margin", 0.5, False) for p in ids])
    store.labels.annotate([Annotation(p, "a", "ana", NOW) for p in ids])
    assert store.labels.claim("v0002", NOW)["propensity"].tolist() == [0.5, 0.125]
    picked = store.answers.window(*EVER).rows["propensity"].dropna()
    assert picked.tolist() == [0.5, 0.125]


def test_rollouts_see_the_rows_that_were_drawn_evenly(store: Store) -> None:
    scores = [0.4 if i % 2 else 0.9 for i in range(600)]
    store.answers.append(
        [Sample(policy="sample", rate=0.25).keep([row(i, confidence=scores[i]) for i in range(600)])]
    )
    seen = store.answers.side_by_side(*EVER)
    assert 120 < len(seen) < 180
    assert 0.4 < (seen["confidence"] < 0.5).mean() < 0.6
    assert store.answers.count() > 350


def test_profiles_of_many_writers_add_up_and_hold_no_text_and_no_user(
    store: Store, tmp_path: Path
) -> None:
    rows = [row(i, text="a secret", user_key="somebody") for i in range(30)]
    for number, writer in enumerate(["w1", "w2", "w1"], start=1):
        part = rows[(number - 1) * 10 : number * 10]
        kept = PROFILE.keep(part)
        group = Kept(kept.rows, kept.texts, kept.profiles, passes=10, number=number)
        store.answers.append([group], writer)
        store.answers.append([group], writer)  # again changes nothing
    [profile] = store.answers.profiles(NOW, NOW + HOUR)
    assert (profile.rows, profile.labels, profile.segments) == (30, {"a": 30}, {"plan": {"free": 30}})
    assert profile.lengths.tolist()[4] == profile.scores.tolist()[15] == 30
    assert profile.sums.tolist() == [0.0, 30.0, 60.0, 90.0]
    assert profile.squares.tolist() == [0.0, 30.0, 120.0, 270.0]
    assert store.state.counters() == {"encoder_passes.serving": 30, "texts.serving": 30}
    assert stored(store) == []
    store.close()
    for file in tmp_path.glob("store.db*"):
        assert b"a secret" not in file.read_bytes()
        assert b"somebody" not in file.read_bytes()


def test_a_profile_does_not_grow_with_the_values_of_a_segment() -> None:
    rows = [row(i, segments={"session": f"s{i}", f"key {i}": "x"}) for i in range(100)]
    [profile] = PROFILE.keep(rows).profiles
    doubled = profile + profile
    assert len(doubled.segments) == 10
    assert len(doubled.segments["session"]) == 21
    assert sum(doubled.segments["session"].values()) == 200
    assert doubled.segments["session"][OTHER] == 160


def test_what_the_spool_holds_comes_back_as_it_was() -> None:
    rows = [row(0), row(0, "shadow", text="ü \U0001f600 \n")]
    kept = Kept(rows, 1, PROFILE.keep(rows).profiles, passes=3, number=7)
    back = unpack(pack(kept))
    assert (back.texts, back.passes, back.number) == (1, 3, 7)
    for a, b in zip(rows, back.rows, strict=True):
        assert np.array_equal(a.detail.probabilities, b.detail.probabilities)
        assert (a.text, a.timestamp, a.segments) == (b.text, b.timestamp, b.segments)
    assert back.rows[1].embedding is None
    assert [p.key for p in back.profiles] == [p.key for p in kept.profiles]
    assert back.profiles[0].sums.tolist() == kept.profiles[0].sums.tolist()


def test_under_profile_the_loop_says_what_it_cannot_do(tmp_path: Path) -> None:
    session = make_session(tmp_path / "shop", logging={"policy": "profile"})
    session.store.state.write(Champion("1"))
    session.store.state.write(Retrains(1, NOW))
    writer = open_writer(session, session.store, Metrics())
    days = [[row(d * 86400 + i, output="ab"[d]) for i in range(50)] for d in (0, 1)]
    for rows in days:
        writer.put(rows, 50).result(30)
    writer.close()
    now = NOW + timedelta(days=2)
    stages.loop(session, now)
    signals = {s.name: s.value for s in session.store.signals.read()}
    assert signals == {
        "rows": 50.0, "confidence": pytest.approx(0.775), "shift.labels": 2.0, "shift.embeddings": 0.0,
        "alerts.week": None,
    }  # fmt: skip
    [curation] = session.store.decisions.read("curation")
    assert curation.reason == (
        "logging.policy is profile: no text is kept, so nothing can be picked for labels"
    )
    session.store.close()
