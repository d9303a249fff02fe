"""Laws of every logging policy: what it keeps stands for all traffic, without bias."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from core.kept import merged
from core.records import Prediction, Window
from everloop.laws.windows import START, window
from monitoring.accuracy.shares import plain, weighted
from pipelines.curation.margin import Margin
from pipelines.curation.pool import Pool
from pipelines.logging import LoggingPolicy
from pipelines.logging.policy import Logging
from pipelines.logging.sample import Sample
from tests.code.logs import row

POLICIES: list[Logging] = [
    p(policy=get_args(p.model_fields["policy"].annotation)[0])
    for p in get_args(get_args(LoggingPolicy)[0])
]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.policy)


def answers(n: int) -> list[Prediction]:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.2, 1.0, n)
    rows = [row(i, score=float(s), text="x" * int(rng.integers(1, 300))) for i, s in enumerate(scores)]
    return [r for p in rows for r in (p, row(int(p.request_id[1:]), "shadow", score=0.3))]


@every_policy
def test_same_rows_same_choice_in_any_company(policy: Logging) -> None:
    rows = answers(100)
    whole = [p.prediction_id for p in policy.keep(rows).rows]
    apart = [p.prediction_id for i in range(0, 200, 2) for p in policy.keep(rows[i : i + 2]).rows]
    assert whole == apart


@every_policy
def test_a_request_is_kept_with_its_shadow_or_not_at_all(policy: Logging) -> None:
    rows = policy.keep(answers(300)).rows
    answered = {p.request_id: p.propensity for p in rows if p.variant != "shadow"}
    assert {p.request_id: p.propensity for p in rows if p.variant == "shadow"} == answered


@every_policy
def test_all_texts_are_counted_and_none_on_an_empty_group(policy: Logging) -> None:
    assert policy.keep(answers(300)).texts == 300
    assert policy.keep([]).texts == 0
    assert list(policy.keep([]).rows) == list(policy.keep([]).profiles) == []


@every_policy
def test_does_not_mutate_its_input(policy: Logging) -> None:
    rows = answers(50)
    before = [(id(p), p.text, p.propensity) for p in rows]
    policy.keep(rows)
    assert [(id(p), p.text, p.propensity) for p in rows] == before


@every_policy
def test_profiles_add_up_in_any_order_and_grouping(policy: Logging) -> None:
    rows = answers(200)
    whole = merged(policy.keep(rows).profiles)
    parts = [p for i in range(0, 400, 40) for p in policy.keep(rows[i : i + 40]).profiles]
    for a, b in zip(whole, merged(reversed(parts)), strict=True):
        assert (a.key, a.rows, a.labels, a.segments) == (b.key, b.rows, b.labels, b.segments)
        assert a.scores.tolist() == b.scores.tolist()
        assert a.lengths.tolist() == b.lengths.tolist()
        assert np.allclose(a.sums, b.sums)
        assert np.allclose(a.squares, b.squares)


def sampled(traffic: Window, policy: Sample, seed: int) -> Window:
    """What the policy keeps of a window whose requests are named anew."""
    ids = [f"{seed}/{i}" for i in range(len(traffic))]
    values = zip(ids, traffic.rows["score"], strict=True)
    kept = {p.request_id: p.propensity for p in policy.choose(
        [replace(row(0), request_id=r, score=s) for r, s in values])}  # fmt: skip
    rows = traffic.rows.assign(request_id=ids, kept=[kept.get(r, np.nan) for r in ids])
    named = replace(traffic, rows=rows)
    return named.take(rows["kept"].notna().to_numpy())


def test_accuracy_is_that_of_all_traffic_though_doubtful_answers_are_always_kept() -> None:
    """Confident answers are right more often, and one in five of them is kept: by count alone
    the model would look worse than it is."""
    traffic = window(2000)
    score = traffic.rows["score"].to_numpy()
    right = np.random.default_rng(1).random(2000) < score
    policy, curation = Sample(policy="sample", rate=0.2, below=0.6), Margin(policy="margin")
    of = dict(zip(traffic.rows["prediction_id"], right, strict=True))
    audit, ipw, naive, even = [], [], [], []
    for seed in range(250):
        kept = sampled(traffic, policy, seed)
        tasks = curation.pick(Pool(kept), 60, f"round {seed}", START)
        chance = dict(zip(kept.rows["prediction_id"], kept.kept, strict=True))
        audit.append(plain(np.array([of[t.prediction_id] for t in tasks if t.audit])).value)
        total = np.array([t.propensity * chance[t.prediction_id] for t in tasks])
        ipw.append(weighted(np.array([of[t.prediction_id] for t in tasks]), total).value)
        naive.append(np.mean([of[p] for p in kept.rows["prediction_id"]]))
        even.append(kept.even().rows["score"].mean())
    for estimates in (audit, ipw):
        assert abs(np.mean(estimates) - right.mean()) < 4 * np.std(estimates) / 250**0.5 + 0.005
    assert np.mean(naive) < right.mean() - 0.05
    assert abs(np.mean(even) - score.mean()) < 4 * np.std(even) / 250**0.5
