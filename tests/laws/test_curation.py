"""Laws that hold for every curation policy; a new policy is tested once it is in the union."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest

from pipelines.curation import CurationPolicy
from pipelines.curation.policy import Curation
from pipelines.curation.pool import Pool
from tests.laws.windows import START, window

POLICIES = [
    p(policy=get_args(p.model_fields["policy"].annotation)[0])
    for p in get_args(get_args(CurationPolicy)[0])
]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.policy)


@every_policy
def test_same_round_same_picks_and_another_round_others(policy: Curation) -> None:
    w = window(200)
    first = policy.pick(Pool(w), 20, "2026-01-06", START)
    assert policy.pick(Pool(w), 20, "2026-01-06", START) == first
    assert policy.pick(Pool(w), 20, "2026-01-07", START) != first


@every_policy
def test_never_over_budget_never_twice_and_audit_slice_is_there(policy: Curation) -> None:
    for size in (0, 1, 3, 19, 20, 21, 500):
        tasks = policy.pick(Pool(window(size)), 20, "r", START)
        ids = [t.prediction_id for t in tasks]
        assert len(ids) == len(set(ids)) <= min(20, size)
        assert len(ids) >= min(20, size) - 2  # a row both draws take is one label
    assert sum(t.audit for t in tasks) == 2


@every_policy
def test_does_not_mutate_its_input(policy: Curation) -> None:
    w, same = window(50), window(50)
    policy.pick(Pool(w), 10, "r", START)
    assert w.rows.equals(same.rows)
    assert np.array_equal(w.embeddings, same.embeddings)


@every_policy
def test_stored_propensity_is_the_frequency_of_being_picked(policy: Curation) -> None:
    pool, rounds = Pool(window(40)), 3000
    times: Counter[str] = Counter()
    chance: dict[str, float] = {}
    for i in range(rounds):
        for task in policy.pick(pool, 10, f"round-{i}", START):
            times[task.prediction_id] += 1
            chance[task.prediction_id] = task.propensity
    assert len(chance) == 40, "every row has a positive chance"
    for key, propensity in chance.items():
        sd = (propensity * (1 - propensity) / rounds) ** 0.5
        assert abs(times[key] / rounds - propensity) < 5 * sd + 1e-9


@every_policy
def test_picks_give_an_unbiased_mean_of_all_traffic(policy: Curation) -> None:
    """Horvitz-Thompson: sum(value / propensity) over the picks is the sum over all rows."""
    w = window(100)
    pool = Pool(w)
    value = w.rows["score"].to_numpy()
    place = {p: i for i, p in enumerate(w.rows["prediction_id"])}
    sums = [
        sum(value[place[t.prediction_id]] / t.propensity for t in policy.pick(pool, 20, f"r{i}", START))
        for i in range(1500)
    ]
    error = np.std(sums) / len(sums) ** 0.5
    assert abs(np.mean(sums) - value.sum()) < 4 * error


def test_margin_prefers_hesitation() -> None:
    w = window(300)
    margin = next(p for p in POLICIES if p.policy == "margin")
    picked = {t.prediction_id for t in margin.pick(Pool(w), 30, "r", START) if not t.audit}
    score = w.rows.set_index("prediction_id")["score"]
    assert score[score.index.isin(picked)].mean() < score.mean() - 0.15


def test_stratified_gives_a_rare_segment_its_share() -> None:
    policy = type(next(p for p in POLICIES if p.policy == "stratified"))(policy="stratified", by="plan")
    w = window(400)
    pool = Pool(w)
    paid = {
        p for p, s in zip(w.rows["prediction_id"], w.rows["segment.plan"], strict=True) if s == "paid"
    }
    share = np.mean(
        [t.prediction_id in paid for i in range(50) for t in policy.pick(pool, 20, f"{i}", START)]
    )
    assert 0.4 < share < 0.5  # half of the policy's share, a tenth of the audit slice


@every_policy
def test_rows_for_a_test_are_uniform_within_the_budget_and_audit_rows_stay(policy: Curation) -> None:
    """The chance of a row is exact with the third draw too, and without it nothing changes."""
    pool = Pool(window(40))
    assert policy.pick(pool, 10, "r", START, for_test=0) == policy.pick(pool, 10, "r", START)
    times: Counter[str] = Counter()
    chance: dict[str, float] = {}
    for i in range(2000):
        tasks = policy.pick(pool, 10, f"round-{i}", START, for_test=4)
        assert len(tasks) <= 10
        assert {t.policy for t in tasks} <= {"audit", "test", policy.policy}
        assert all(t.audit == (t.policy == "audit") for t in tasks)
        times.update(t.prediction_id for t in tasks)
        chance |= {t.prediction_id: t.propensity for t in tasks}
    assert min(chance.values()) >= 1 - (1 - 1 / 40) * (1 - 4 / 40) - 1e-9
    for key, propensity in chance.items():
        sd = (propensity * (1 - propensity) / 2000) ** 0.5
        assert abs(times[key] / 2000 - propensity) < 5 * sd + 1e-9


@every_policy
def test_a_test_never_takes_more_than_the_policys_part(policy: Curation) -> None:
    tasks = policy.pick(Pool(window(200)), 20, "r", START, for_test=50)
    assert len(tasks) <= 20
    assert sum(t.audit for t in tasks) == 2
    assert {t.policy for t in tasks} == {"audit", "test"}
