"""An A/B test looks once, and is wrong about an equal candidate at most 1 time in 20."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.errors import RolloutError
from core.intervals import paired_difference, unpaired_difference
from core.records.answers import Feedback
from core.records.labels import Annotation
from core.records.rollouts import Rollout
from core.state import Champion
from core.store import Store
from everloop.init import init
from everloop.laws.two_models import NOW, answers
from everloop.replay import run
from pipelines.rollout.ab_test import AbTest
from pipelines.rollout.compare import arms
from pipelines.rollout.shadow_canary import ShadowCanary
from serving.service import Service
from tests.command_line import everloop
from tests.fake_models import Shelf, requests, roll_out
from tests.small_loop import job, make_session

WEEK = timedelta(days=7)
ACCURACY = AbTest(policy="ab-test")
FEEDBACK = AbTest(policy="ab-test", metric="feedback")


def start(policy: AbTest = ACCURACY) -> Rollout:
    return policy.start("7", "6", NOW, "v0003")


def test_it_begins_with_half_of_the_users() -> None:
    rollout = start()
    assert (rollout.stage, rollout.share, rollout.live) == ("ab_test", 0.5, True)
    assert rollout.rollout_id == ACCURACY.start("7", "6", NOW + WEEK, "v0003").rollout_id
    with pytest.raises(RolloutError, match="the candidate is the champion already"):
        ACCURACY.start("6", "6", NOW, "v0003")


def test_before_its_end_it_waits_however_good_it_looks() -> None:
    perfect = answers(0, right=(1.0, 0.1))
    rollout, decision = ACCURACY.advance(start(), perfect, NOW + timedelta(days=3))
    assert (rollout, decision.verdict) == (start(), "wait")
    assert decision.reason == "A/B test 50 % -> wait: day 3.0 of 7 to 14, 300 of 200 labels"
    assert "gain" not in decision.evidence.stored()
    few = answers(0, right=(1.0, 0.1), labels=60)
    assert ACCURACY.advance(start(), few, NOW + WEEK)[1].verdict == "wait"


def test_a_better_candidate_is_promoted_with_its_evidence() -> None:
    rollout, decision = ACCURACY.advance(start(), answers(1, (0.95, 0.8)), NOW + WEEK)
    assert (rollout.stage, rollout.share) == ("promoted", 1.0)
    assert decision.reason == (
        "A/B test 50 % -> promote: accuracy on 300 labels 0.940 vs 0.820, "
        "better by +0.120 (95 % CI +0.069..+0.170)"
    )
    assert json.loads(json.dumps(decision.evidence.stored(), allow_nan=False))["seen"] == 300
    rollout, decision = FEEDBACK.advance(start(), answers(1, complain=(0.02, 0.2)), NOW + WEEK)
    assert rollout.stage == "promoted"
    assert decision.reason == (
        "A/B test 50 % -> promote: users who complained 0.020 vs 0.197, "
        "better by +0.177 (95 % CI +0.130..+0.227)"
    )


def test_a_worse_candidate_is_rolled_back() -> None:
    assert ACCURACY.advance(start(), answers(1, (0.7, 0.8)), NOW + WEEK)[0].stage == "rolled_back"
    worse = answers(1, complain=(0.2, 0.1))
    assert FEEDBACK.advance(start(), worse, NOW + WEEK)[0].stage == "rolled_back"


def test_a_tie_goes_to_the_champion_or_as_the_parameter_says() -> None:
    equal = answers(3)
    rollout, decision = ACCURACY.advance(start(), equal, NOW + WEEK)
    assert rollout.stage == "rolled_back"
    assert ": neither is proven better, the champion is taken: accuracy on 300" in decision.reason
    newest = AbTest(policy="ab-test", tie="candidate")
    assert newest.advance(start(), equal, NOW + WEEK)[0].stage == "promoted"


def test_at_its_latest_end_it_decides_on_what_there_is() -> None:
    bare = answers(0, labels=0)
    assert ACCURACY.advance(start(), bare, NOW + WEEK)[1].verdict == "wait"
    rollout, decision = ACCURACY.advance(start(), bare, NOW + 2 * WEEK)
    assert rollout.stage == "rolled_back"
    assert "accuracy on 0 labels nan vs nan" in decision.reason
    assert decision.evidence.stored()["champion"] is None
    alone = bare[bare["model_version"] == "6"]
    assert ACCURACY.advance(start(), alone, NOW + 2 * WEEK)[1].reason == (
        "A/B test 50 % -> rollback: the candidate scored no request"
    )
    with pytest.raises(RolloutError, match="this rollout is over"):
        ACCURACY.advance(rollout, bare, NOW + 2 * WEEK)


def test_users_are_counted_and_not_their_requests() -> None:
    often = pd.concat([answers(0, users=40, labels=0)] * 5, keys=range(5)).reset_index()
    often["request_id"] += "-" + often["level_0"].astype(str)
    new, old = arms(often, start())
    assert (new.requests + old.requests, new.users + old.users) == (200, 40)
    nameless = answers(0, users=40).assign(user_key="")
    drawn = nameless["request_id"].map(start().draws)
    answered = drawn == (nameless["model_version"] == "7")
    nameless["variant"] = np.where(answered, "champion", "shadow")
    new, old = arms(nameless, start())
    assert new.users + old.users == 40


def test_requests_from_before_the_split_was_known_are_nobodys() -> None:
    frame = answers(0, users=40)
    early = frame[frame["variant"] == "champion"].assign(complained=True)
    early["request_id"] += "-early"
    assert arms(pd.concat([frame, early]), start()) == arms(frame, start())


def test_who_asks_for_a_model_by_its_version_is_in_no_arm() -> None:
    frame = answers(0, users=40)
    asked = frame.assign(variant=np.where(frame["variant"] == "shadow", "canary", "shadow"))
    asked["request_id"] += "-by-version"
    assert arms(pd.concat([frame, asked]), start()) == arms(frame, start())


def test_an_equal_candidate_is_rarely_proven_anything() -> None:
    random = np.random.default_rng(0)
    lucky = 0
    for new, old in random.binomial(300, 0.1, size=(4000, 2)):
        low, _, high = unpaired_difference((int(old), 300), (int(new), 300))
        lucky += low > 0 or high < 0
    assert lucky == 195  # 4.9 % of 4000
    lucky = 0
    for gained, lost, _ in random.multinomial(300, (0.15, 0.15, 0.7), size=4000):
        low, _, high = paired_difference(int(gained), int(lost), 300)
        lucky += low > 0 or high < 0
    assert lucky == 208  # 5.2 % of 4000: 5 %, give or take 0.7


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "ties"), [(ACCURACY, 193), (FEEDBACK, 185)])
def test_over_many_tests_the_better_wins_and_the_equal_ties(policy: AbTest, ties: int) -> None:
    def verdicts(**chances: Any) -> list[str]:
        ends = [policy.advance(start(), answers(s, **chances), NOW + WEEK)[1] for s in range(200)]
        return ["tie" if "neither" in e.reason else e.verdict for e in ends]

    better = verdicts(right=(0.95, 0.8), complain=(0.02, 0.12))
    assert set(better) == {"promote"}
    assert verdicts().count("tie") == ties  # of 200; 190 on average


def test_a_rollout_goes_on_under_the_policy_that_is_chosen_now() -> None:
    canary = ShadowCanary(policy="shadow-canary").start("7", "6", NOW, "k")
    split, decision = ACCURACY.advance(canary, answers(0), NOW + WEEK)
    assert (split.stage, split.share, split.stage_started) == ("ab_test", 0.5, NOW + WEEK)
    assert decision.reason == "shadow -> advance: an A/B test of the users begins"
    careful = ShadowCanary(policy="shadow-canary", shares=[0.25, 0.75])
    moved, _ = careful.advance(start(), answers(0), NOW + WEEK)
    assert (moved.stage, moved.share) == ("canary", 0.75)


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"min_days": 8.0, "max_days": 7.0}, {"tie": "both"}])
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"less than 1|at least min_days, 8|'champion' or 'cand"):
        AbTest(policy="ab-test", **wrong)


def test_the_store_tells_who_complained_of_which_answer(store: Store, service: Service) -> None:
    rollout = roll_out(store, "ab_test")
    given = service.predict(requests(40))
    assert {(a.variant, a.model_version) for a in given} == {("champion", "1"), ("challenger", "2")}
    other = {"card": "cash", "cash": "card", "loan": "card"}
    said = [("thumbs", "down"), ("thumbs", "up"), ("correction", other[given[2].output])]
    said += [("correction", given[3].output), ("label", "loan")]
    when = given[0].timestamp + timedelta(hours=1)
    store.feedback.add(
        [
            Feedback(f"f{i}", given[i].prediction_id, when, kind, value)
            for i, (kind, value) in enumerate(said)
        ]
    )
    rows = store.answers.side_by_side(given[0].timestamp, when + timedelta(seconds=1))
    assert sorted(rows[rows["complained"].astype(bool)]["request_id"]) == ["r0", "r2"]
    assert not store.answers.side_by_side(given[0].timestamp, when)["complained"].any()
    new, old = arms(rows, rollout)
    assert (new.requests + old.requests, new.users + old.users) == (40, 20)
    assert new.complained + old.complained == 2
    assert rollout.live


def test_status_shows_the_arms_and_what_is_known_so_far(shelf: Shelf, tmp_path: Path) -> None:
    place = init(tmp_path / "shop")
    known = Store(place.store_url)
    known.state.write(Champion("1"))
    began = roll_out(known, "ab_test").stage_started
    given = Service(known, shelf.load, max_text=100).predict(requests(40))
    known.feedback.add([Feedback("f", given[0].prediction_id, began, "thumbs", "down")])
    task = [Annotation(given[1].prediction_id, given[1].output, "ann", began)]
    known.labels.annotate(task)
    assert everloop("rollout", "status", "-w", place.root, "--now", "2026-01-06").out == (
        "champion: version 1\n"
        "under way: version 2, A/B test 50 %\n"
        "\n"
        "answered by  version  requests  users  complained\n"
        "champion     1              22     11           1\n"
        "candidate    2              18      9           0\n"
        "\n"
        "so far, and no verdict before the end of the test:\n"
        "  accuracy on 1 label 1.000 vs 1.000, better by +0.000 (95 % CI -0.653..+0.653)\n"
        "  users who complained 0.000 vs 0.091, better by +0.091 (95 % CI -0.217..+0.377)\n"
        "\n"
        "started (UTC)     from  to  stage    share\n"
        "2026-01-05 09:00  1     2   ab_test  50%\n"
    )


@pytest.mark.slow
def test_a_replay_with_an_ab_test(tmp_path: Path) -> None:
    split = {"policy": "ab-test", "min_days": 1.0, "max_days": 1.0, "tie": "candidate"}
    session = make_session(tmp_path / "workspace", rollout=split)
    result = run(session, job(days=4))
    ends = [d for d in session.store.decisions.read("rollout") if d.verdict != "wait"]
    assert ends
    assert all(d.reason.startswith("A/B test 50 % -> ") for d in ends)
    assert result["promotions"] + result["rollbacks"] == len(ends)
    rows = session.store.answers.side_by_side(NOW, NOW + timedelta(days=4))
    assert set(rows["variant"]) == {"champion", "challenger", "shadow"}
