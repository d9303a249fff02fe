from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from core.errors import DataError, ModelError, StoreError
from core.ids import hash_user
from core.kept import Kept
from core.records.answers import Prediction, Request
from core.records.rollouts import Rollout
from core.state import Champion
from core.store import Store
from core.store.answers import AnswerRepository
from pipelines.rollout.shadow_canary import ShadowCanary
from serving.router import route
from serving.service import Service
from tests.fake_models import (
    NOW,
    BrokenHead,
    HashEncoder,
    LinearHead,
    Shelf,
    model,
    requests,
    roll_out,
)


def test_answers_in_order_and_stores_what_a_replay_needs(
    store: Store, service: Service, shelf: Shelf
) -> None:
    asked = requests(5)
    answers = service.predict(asked)
    assert [a.request_id for a in answers] == ["r0", "r1", "r2", "r3", "r4"]
    embeddings = HashEncoder().encode([r.text for r in asked])
    expected = LinearHead(["card", "cash"], seed=1).probabilities(embeddings)
    assert [a.confidence for a in answers] == [float(p.max()) for p in expected]
    assert [a.output for a in answers] == [["card", "cash"][p.argmax()] for p in expected]
    window = store.answers.window(NOW, NOW + timedelta(hours=1))
    np.testing.assert_array_equal(window.embeddings, embeddings.astype(np.float32))
    assert set(window.rows["variant"]) == {"champion"}
    assert list(window.rows["segment.channel"]) == ["chat"] * 5
    assert answers[0].user_key == hash_user("u0")
    assert all(a.latency_ms > 0 for a in answers)


def test_one_encoder_pass_a_request_in_one_call(store: Store, service: Service, shelf: Shelf) -> None:
    roll_out(store)
    service.predict(requests(30))
    assert (shelf.encoder.reads, shelf.encoder.calls) == (30, 1)
    assert store.state.counters() == {"encoder_passes.serving": 30, "texts.serving": 30}


def test_another_encoder_reads_for_itself_and_is_counted(
    store: Store, service: Service, shelf: Shelf
) -> None:
    shelf.models["2"] = model(HashEncoder("tuned@2"), LinearHead(["card", "cash"], seed=2))
    rollout = roll_out(store)
    answers = service.predict(requests(30))
    assert store.state.counters() == {"encoder_passes.serving": 60, "texts.serving": 30}
    for answer in answers:
        canary = route(answer.user_key, answer.request_id, rollout) == "canary"
        assert answer.encoder == ("tuned@2" if canary else "hash@1")
        assert answer.embedding is not None
        np.testing.assert_array_equal(
            answer.embedding, HashEncoder(answer.encoder).encode([answer.text])[0]
        )


def test_a_request_id_is_answered_once(store: Store, service: Service, shelf: Shelf) -> None:
    first = service.predict(requests(3))
    twice = requests(4) + requests(2)
    again = service.predict(twice)
    assert [a.request_id for a in again] == ["r0", "r1", "r2", "r3", "r0", "r1"]
    assert [a.prediction_id for a in again[:3]] == [a.prediction_id for a in first]
    assert store.answers.count() == 4
    assert shelf.encoder.reads == 4


def test_a_later_retry_gets_the_first_answer_even_after_a_swap(store: Store, service: Service) -> None:
    [first] = service.predict(requests(1))
    store.state.write(Champion("2"))
    late = Request("r0", NOW + timedelta(days=1), "text 0")
    [again] = service.predict([late])
    assert (again.prediction_id, again.model_version, again.timestamp) == (
        first.prediction_id,
        "1",
        NOW,
    )


def test_one_id_for_two_texts_is_refused_whole(store: Store, service: Service) -> None:
    service.predict(requests(1))
    with pytest.raises(DataError, match="already belongs to another text"):
        service.predict([*requests(1, start=5), Request("r0", NOW, "something else")])
    with pytest.raises(DataError, match=r"where: +request_id x"):
        service.predict([Request("x", NOW, "one"), Request("x", NOW, "two")])
    assert store.answers.count() == 1


def test_nothing_asked_nothing_answered(service: Service, shelf: Shelf) -> None:
    assert service.predict([]) == []
    assert shelf.loads == []


@pytest.mark.parametrize("stage", ["shadow", "canary"])
def test_in_a_rollout_both_models_score_every_request(
    store: Store, service: Service, stage: str
) -> None:
    rollout = roll_out(store, stage)
    answers = service.predict(requests(60))
    rows = store.answers.side_by_side(NOW, NOW + timedelta(hours=1))
    pairs = rows.groupby("request_id")["model_version"].agg(lambda v: "".join(sorted(v)))
    assert set(pairs) == {"12"}
    assert (rows["variant"] == "shadow").sum() == 60
    assert len(rows) == 120
    on_canary = {a.request_id for a in answers if a.variant == "canary"}
    assert on_canary == {
        r.request_id for r in requests(60) if route(r.user_key, r.request_id, rollout) == "canary"
    }
    assert bool(on_canary) == (stage == "canary")
    assert {a.model_version for a in answers if a.variant == "canary"} <= {"2"}
    assert {a.model_version for a in answers if a.variant == "champion"} == {"1"}


def test_users_stay_with_their_model_for_a_stage(store: Store, service: Service) -> None:
    roll_out(store)
    by_user: dict[str, set[str]] = {}
    for n in range(5):
        for answer in service.predict(requests(20, start=20 * n)):
            by_user.setdefault(answer.user_key, set()).add(answer.model_version)
    assert {len(v) for v in by_user.values()} == {1}
    assert set.union(*by_user.values()) == {"1", "2"}


def test_every_answer_names_the_model_that_made_it_over_a_swap(
    store: Store, service: Service, shelf: Shelf
) -> None:
    heads = {v: m.head for v, m in shelf.models.items()}
    answers: list[Prediction] = []
    for n, version in enumerate(["1", "2", "1"]):
        store.state.write(Champion(version))
        answers += service.predict(requests(10, start=10 * n))
    assert [a.model_version for a in answers] == ["1"] * 10 + ["2"] * 10 + ["1"] * 10
    for answer in answers:
        head = heads[answer.model_version]
        assert head is not None
        expected = head.probabilities(HashEncoder().encode([answer.text]))[0]
        assert (answer.output, answer.confidence) == (
            head.labels[expected.argmax()],
            float(expected.max()),
        )


def test_a_promoted_candidate_is_not_loaded_again(store: Store, service: Service, shelf: Shelf) -> None:
    roll_out(store)
    service.predict(requests(1))
    store.decisions.put_rollout(Rollout("2-ab", "2", "1", "promoted", 1.0, NOW, NOW))
    store.state.write(Champion("2"))
    [answer] = service.predict(requests(1, start=1))
    assert (answer.model_version, answer.variant) == ("2", "champion")
    assert shelf.loads == ["1", "2"]


def test_a_broken_candidate_is_refused_once_and_the_champion_serves(
    store: Store, service: Service, shelf: Shelf
) -> None:
    roll_out(store, candidate="9")
    for n in range(3):
        assert {a.variant for a in service.predict(requests(5, start=5 * n))} == {"champion"}
    assert shelf.loads == ["1", "9"]
    [decision] = store.decisions.read(stage="serving")
    assert (decision.verdict, decision.severity) == ("refuse", "critical")
    assert decision.reason == "version 9 is refused, champion 1 serves on: the weights are broken"


def test_a_broken_new_champion_leaves_the_old_one_serving(store: Store, service: Service) -> None:
    service.predict(requests(1))
    store.state.write(Champion("9"))
    [answer] = service.predict(requests(1, start=1))
    assert answer.model_version == "1"
    assert store.decisions.read(stage="serving")[0].key == "serving/refused/champion/9"
    store.state.write(Champion("2"))
    assert service.predict(requests(1, start=2))[0].model_version == "2"


@pytest.mark.parametrize("head", [None, BrokenHead(["card"])])
def test_a_candidate_that_gives_no_probabilities_is_refused(
    store: Store, service: Service, shelf: Shelf, head: LinearHead | None
) -> None:
    shelf.models["9"] = model(shelf.encoder, head)
    roll_out(store, candidate="9")
    service.predict(requests(5))
    service.predict(requests(5, start=5))
    assert store.answers.count() == 10
    assert set(store.answers.side_by_side(NOW, NOW + timedelta(hours=1))["variant"]) == {"champion"}
    assert len(store.decisions.read(stage="serving")) == 1


def test_no_model_yet_says_what_to_run(tmp_path: Path, shelf: Shelf) -> None:
    empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(ModelError, match=r"no model serves yet\n[^$]*do: +everloop train"):
        Service(empty, shelf.load, max_text=100).predict(requests(1))
    empty.close()


class FullLog(AnswerRepository):
    def append(self, groups: Sequence[Kept], writer: str = "") -> None:
        raise StoreError("the store cannot be used", got="disk is full")


def test_what_could_not_be_stored_is_not_answered(tmp_path: Path, shelf: Shelf) -> None:
    full = Store(f"sqlite:///{tmp_path / 'full.db'}")
    full.answers = FullLog(full.database, full.answers.naming)
    full.state.write(Champion("1"))
    with pytest.raises(StoreError, match="disk is full"):
        Service(full, shelf.load, max_text=100).predict(requests(2))
    assert full.answers.count() == 0
    full.close()


class LateAnswers(AnswerRepository):
    """Another server answers between the look and the write."""

    other: Service | None = None

    def known(self, request_ids: Sequence[str]) -> dict[str, Prediction]:
        found = super().known(request_ids)
        if self.other:
            self.other.predict([Request("r0", NOW + timedelta(seconds=9), "text 0")])
        return found


def test_another_server_may_answer_first_and_its_answer_holds(store: Store, service: Service) -> None:
    late = Store(store.url)
    late.answers = answers = LateAnswers(late.database, late.answers.naming)
    answers.other = service
    [answer] = Service(late, Shelf().load, max_text=100).predict(requests(1))
    assert answer.timestamp == NOW + timedelta(seconds=9)
    assert store.answers.get(answer.prediction_id) is not None
    assert store.answers.count() == 1
    late.close()


def test_many_threads_lose_nothing(store: Store, service: Service, shelf: Shelf) -> None:
    roll_out(store)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: service.predict(requests(2, start=n)), range(40)))
    assert all(store.answers.get(a.prediction_id) for pair in answers for a in pair)
    assert store.answers.count() == 41
    assert shelf.encoder.reads == 41
    assert shelf.loads == ["1", "2"]


def test_a_rollout_reads_what_serving_logged(store: Store, service: Service, shelf: Shelf) -> None:
    shelf.models["2"] = shelf.models["1"]
    policy = ShadowCanary(policy="shadow-canary")
    rollout, end, reasons = policy.start("2", "1", NOW, "v0002"), NOW, []
    while rollout.live:
        store.decisions.put_rollout(rollout)
        rollout, decision = policy.advance(
            rollout, store.answers.side_by_side(rollout.stage_started, end), end
        )
        reasons.append(decision.reason)
        service.predict(requests(30, start=int((end - NOW).total_seconds())))
        end += timedelta(seconds=30)
    assert [r.split(":")[0] for r in reasons] == [
        "shadow -> wait",
        "shadow -> advance",
        "canary 25 % -> promote",
    ]
    assert reasons[2].startswith("canary 25 % -> promote: 30 requests scored by both, agree 1.00")
