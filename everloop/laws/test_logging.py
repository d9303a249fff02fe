"""Laws of every logging policy: what it keeps stands for all traffic, without bias."""

from __future__ import annotations

import numpy as np

from core.kept import merged
from core.records.answers import Prediction
from everloop.laws.members import every
from everloop.laws.rows import row
from pipelines.logging import LoggingPolicy
from pipelines.logging.log_policy import Logging

every_policy = every(LoggingPolicy)


def answers(n: int) -> list[Prediction]:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.2, 1.0, n)
    rows = [
        row(i, confidence=float(s), text="x" * int(rng.integers(1, 300))) for i, s in enumerate(scores)
    ]
    return [r for p in rows for r in (p, row(int(p.request_id[1:]), "shadow", confidence=0.3))]


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
    assert not list(policy.keep([]).rows)
    assert not list(policy.keep([]).profiles)


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
