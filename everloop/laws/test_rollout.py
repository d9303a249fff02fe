"""Laws that hold for every rollout policy."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from core.errors import RolloutError
from core.records.rollouts import LIVE
from everloop.laws.members import every
from everloop.laws.two_models import NOW, answers
from pipelines.rollout import RolloutPolicy, promote, roll_back
from pipelines.rollout.promotion import advanced

every_policy = every(RolloutPolicy)
LONG = timedelta(days=60)


@every_policy
def test_begins_live_under_an_id_that_repeats(policy: Any) -> None:
    rollout = policy.start("7", "6", NOW, "v0003")
    assert rollout.stage in LIVE
    assert policy.start("7", "6", NOW + LONG, "v0003").rollout_id == rollout.rollout_id
    assert policy.start("7", "6", NOW, "v0004").rollout_id != rollout.rollout_id
    with pytest.raises(RolloutError, match="the candidate is the champion already"):
        policy.start("6", "6", NOW, "v0003")


@every_policy
def test_the_same_look_gives_the_same_whatever_the_order_and_changes_nothing(policy: Any) -> None:
    rollout, frame = policy.start("7", "6", NOW, "k"), answers(0)
    before = frame.copy()
    first = advanced(policy, rollout, frame, NOW + LONG)
    assert advanced(policy, rollout, frame.sample(frac=1, random_state=0), NOW + LONG) == first
    pd.testing.assert_frame_equal(frame, before)


@every_policy
@pytest.mark.parametrize("days", [0, 60])
def test_without_traffic_there_is_a_verdict_and_its_evidence_is_json(policy: Any, days: int) -> None:
    rollout = policy.start("7", "6", NOW, "k")
    moved, decision = advanced(policy, rollout, answers(0).head(0), NOW + timedelta(days=days))
    json.dumps(decision.evidence.stored(), allow_nan=False)
    assert decision.reason
    assert moved == rollout if decision.verdict == "wait" else not moved.live


@every_policy
def test_the_better_candidate_gets_there_and_the_worse_does_not(policy: Any) -> None:
    for right, end in (((0.95, 0.7), "promoted"), ((0.5, 0.9), "rolled_back")):
        rollout, now = policy.start("7", "6", NOW, "k"), NOW
        while rollout.live:
            now += LONG
            rollout, decision = advanced(policy, rollout, answers(1, right), now)
        assert (rollout.stage, rollout.stage_started, rollout.reason) == (end, now, decision.reason)


@every_policy
def test_what_is_over_is_over(policy: Any) -> None:
    for end in (promote, roll_back):
        rollout, _ = end(policy.start("7", "6", NOW, "k"), NOW, "by me")
        with pytest.raises(RolloutError, match="this rollout is over"):
            advanced(policy, rollout, answers(0), NOW)
        with pytest.raises(RolloutError, match="this rollout is over"):
            end(rollout, NOW, "again")
