from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from core.ids import hash_user
from core.records.rollouts import Rollout
from serving.router import route
from tests import ROOT

NOW = datetime(2026, 1, 5, tzinfo=UTC)
CANARY = Rollout("7-ab", "7", "6", "canary", 0.25, NOW, NOW)
USERS = [hash_user(f"u{i}") for i in range(4000)]


def on_canary(rollout: Rollout) -> set[str]:
    return {u for u in USERS if route(u, "r", rollout) == "canary"}


def test_everybody_is_answered_by_the_champion_outside_a_canary() -> None:
    assert route("u", "r", None) == "champion"
    for stage in ("shadow", "promoted", "rolled_back"):
        assert on_canary(replace(CANARY, stage=stage, share=1.0)) == set()


def test_the_share_of_users_is_the_share_of_the_rollout() -> None:
    assert abs(len(on_canary(CANARY)) / len(USERS) - 0.25) < 0.02
    assert on_canary(replace(CANARY, share=0.0)) == set()
    assert len(on_canary(replace(CANARY, share=1.0))) == len(USERS)


def test_a_user_stays_with_one_model_whatever_the_request() -> None:
    for user in USERS[:50]:
        assert len({route(user, f"r{i}", CANARY) for i in range(20)}) == 1


def test_without_a_user_the_request_decides() -> None:
    shares = [route("", f"r{i}", CANARY) == "canary" for i in range(4000)]
    assert abs(sum(shares) / 4000 - 0.25) < 0.02
    assert route("", "r1", CANARY) == route("", "r1", CANARY)


def test_a_growing_share_moves_users_one_way_only() -> None:
    steps = [on_canary(replace(CANARY, share=s)) for s in (0.05, 0.25, 0.5, 0.9)]
    assert all(small < large for small, large in pairwise(steps))


def test_another_rollout_tries_other_users() -> None:
    both = on_canary(CANARY) & on_canary(replace(CANARY, rollout_id="8-cd"))
    assert abs(len(both) / len(USERS) - 0.25**2) < 0.02


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.9])
def test_a_split_hits_its_share_within_binomial_error(share: float) -> None:
    for rollout in ("7-ab", "8-cd", "9-ef"):
        split = replace(CANARY, stage="ab_test", share=share, rollout_id=rollout)
        hit = sum(route(u, "r", split) == "challenger" for u in USERS) / len(USERS)
        assert abs(hit - share) < 4 * (share * (1 - share) / len(USERS)) ** 0.5


def test_two_tests_split_the_users_independently() -> None:
    first, second = (replace(CANARY, stage="ab_test", share=0.5, rollout_id=r) for r in ("7-a", "8-b"))
    arms = [[route(u, "r", split) == "challenger" for u in USERS] for split in (first, second)]
    both = sum(a and b for a, b in zip(*arms, strict=True)) / len(USERS)
    assert abs(both - 0.25) < 4 * (0.25 * 0.75 / len(USERS)) ** 0.5


def test_a_split_is_the_same_in_any_order_and_process() -> None:
    split = replace(CANARY, stage="ab_test", share=0.5)
    arms = {u: route(u, "r", split) for u in USERS}
    assert {u: route(u, "x", split) for u in reversed(USERS)} == arms
    code = (
        "import sys; from tests.serving.test_router import *; "
        "split = replace(CANARY, stage='ab_test', share=0.5); "
        "print(*(route(u, 'r', split)[0:3] for u in USERS))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.split() == [a[0:3] for a in arms.values()]
