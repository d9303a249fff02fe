"""The test behind `error-budget`: exact wealth, false retrains where nothing was lost, power where much was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import prod

import numpy as np
import pytest

from core.arrays import Array
from core.evidence import AlertEvidence, TriggerEvidence
from core.intervals import at_most
from core.records.decisions import Decision
from pipelines.curation.draw import inclusion, systematic
from pipelines.triggers.betting import STAKES, evidence
from pipelines.triggers.error_budget import ErrorBudget
from pipelines.triggers.trigger import PromisedAccuracy, Round, Situation

NOW = datetime(2026, 2, 1, tzinfo=UTC)
DAILY = 200  # requests
Chances = Callable[[np.random.Generator, Array], Array]


def round_of(*wrong: float, answers: float = 200.0, share: float = 0.1, labels: int = 20) -> Round:
    return Round(NOW, answers, share, wrong, labels=labels, picks=labels)


def test_wealth_by_hand() -> None:
    """Half of the money bets, half waits for an alarm."""
    assert evidence([], 0.1) == 1.0
    stakes = [s * 0.5 for s in STAKES]
    lost = [(1 - f) ** 10 for f in stakes]
    assert evidence([round_of(answers=10, share=0.5)], 0.1) == pytest.approx(0.5 + np.mean(lost) / 2)
    one = [(1 - f) ** 9 * (1 + f * (1 / (0.25 * 0.1) - 1)) for f in stakes]
    twice = [round_of(0.25, answers=10, share=0.5)] * 2
    assert evidence(twice, 0.1) == pytest.approx(0.5 + np.mean([w**2 for w in one]) / 2)


def test_every_label_drawn_and_error_at_the_bound_wins_nothing() -> None:
    """With every answer labelled the product is (1 + f (1 / m - 1))^(m n) (1 - f)^(n - m n) <= 1."""
    exact = round_of(*[1.0] * 20, answers=200, share=1.0)
    by_hand = np.mean([prod([(1 + f * 9) ** 20, (1 - f) ** 180]) for f in STAKES])
    assert evidence([exact], 0.1) == pytest.approx(0.5 + by_hand / 2)
    assert by_hand <= 1


def test_an_alarm_brings_in_half_of_the_reserve() -> None:
    """A loss that comes late is proven sooner where an alarm said when."""
    quiet = [replace(round_of(), timestamp=NOW + timedelta(days=d)) for d in range(10)]
    lost = replace(round_of(*[0.3] * 15), timestamp=NOW + timedelta(days=10))
    whole, alone = evidence([*quiet, lost], 0.1), evidence([lost], 0.1)
    late = evidence([*quiet, lost], 0.1, [lost.timestamp])
    bet = 2 * alone - 1  # what 1 that bets from then on becomes
    assert late == pytest.approx(whole - 0.25 + bet / 4)
    assert late > 10 * whole
    early = evidence([*quiet, lost], 0.1, [NOW, lost.timestamp])
    assert whole - 0.375 < early - bet / 8 < late


def test_a_missing_label_and_a_higher_bound_only_lower_the_wealth() -> None:
    rounds = [round_of(0.1, 0.5, 0.9), round_of(0.2)]
    assert evidence([round_of(0.1, 0.9), round_of(0.2)], 0.1) < evidence(rounds, 0.1)
    assert evidence(rounds, 0.12) < evidence(rounds, 0.1)


def uniformly(_rng: np.random.Generator, wrong: Array) -> Array:
    return np.full(len(wrong), 0.1)


def by_doubt(rng: np.random.Generator, wrong: Array) -> Array:
    """Wrong answers are picked more often, but not always: as margins do."""
    doubt = rng.uniform(0.01, 1, size=len(wrong)) + wrong * rng.uniform(0, 1, size=len(wrong))
    return 1 - (1 - inclusion(doubt**2, 16)) * (1 - 4 / len(wrong))


def day(rng: np.random.Generator, error: float, chances: Chances) -> Round:
    wrong = rng.random(DAILY) < error
    chance = chances(rng, wrong)
    picked = rng.random(DAILY) < chance
    return round_of(*chance[picked & wrong].tolist(), answers=DAILY, labels=int(picked.sum()))


def situation(rounds: list[Round], promise: PromisedAccuracy) -> Situation:
    last = NOW - timedelta(days=len(rounds))
    seen = Situation(NOW, last, 20, [], [], promise=promise, rounds=rounds)
    return replace(seen, requests_per_day=DAILY)


def falls(seed: int, error: float, chances: Chances, days: int, every: int = 1) -> int | None:
    """The first day on which the test rejects; the evaluation rows are as random as the traffic."""
    rng = np.random.default_rng(seed)
    trigger = ErrorBudget(policy="error-budget")
    promise = PromisedAccuracy(int(rng.binomial(400, 0.06)), 400)
    rounds: list[Round] = []
    for number in range(days):
        rounds.append(day(rng, error, chances))
        looks = number % every == every - 1
        if looks and trigger.decide(situation(rounds, promise)).verdict == "retrain":
            return number + 1
    return None


@pytest.mark.parametrize("chances", [uniformly, by_doubt])
def test_an_error_within_the_budget_is_seldom_retrained_for(chances: Chances) -> None:
    """At the edge of the null: exactly `budget` was lost, for forty days, looked at every fourth."""
    false = [falls(seed, 0.06 + 0.025, chances, 40, every=4) for seed in range(100)]
    assert sum(d is not None for d in false) <= 5  # 5 % of 100


@pytest.mark.parametrize("chances", [uniformly, by_doubt])
def test_a_large_loss_is_seen_in_days(chances: Chances) -> None:
    found = [falls(seed, 0.35, chances, 10) for seed in range(40)]
    assert sum(d is not None for d in found) >= 38
    assert np.median([d for d in found if d]) <= 4


def test_rows_picked_by_the_real_draw_win_nothing_on_average() -> None:
    """Fixed size, unequal chances, one round: the product of the bets has a mean of at most one."""
    rng = np.random.default_rng(0)
    wrong = np.arange(DAILY) % 10 == 0
    chance = inclusion(rng.uniform(0.01, 1, DAILY) ** 3 + 0.02, 20)
    won = []
    for _ in range(2000):
        picked = np.zeros(DAILY, dtype=bool)
        picked[systematic(chance, rng)] = True
        won.append(evidence([round_of(*chance[picked & wrong].tolist(), answers=DAILY)], 0.1))
    assert np.mean(won) < 1 + 3 * np.std(won) / 2000**0.5


def alert(days_ago: float, kind: str = "drift", verdict: str = "alert") -> Decision:
    at = NOW - timedelta(days=days_ago)
    return Decision(f"alert/{days_ago}", "monitoring", at, verdict, "moved", {"kind": kind})


def test_an_alarm_asks_for_labels_and_words_say_where_the_test_stands() -> None:
    trigger = ErrorBudget(policy="error-budget", labels=12)
    quiet = situation([round_of(0.2, labels=12)], PromisedAccuracy(6, 100))
    loud = replace(quiet, alerts=[alert(1)])
    assert (trigger.labels_wanted(quiet), trigger.labels_wanted(loud)) == (0, 12)
    assert trigger.decide(quiet).reason.startswith("error-budget: no alarm: 12 labels, e-value ")
    said = trigger.decide(loud)
    assert said.reason.startswith("error-budget: testing: 12 labels, e-value ")
    assert "40 needed" in said.reason
    assert said.evidence.stored()["false_retrain_rate"] == 0.05
    assert said.evidence.stored()["alarms"] == ["alert/1"]
    for other in (alert(1, "quality"), alert(1, verdict="over"), alert(20)):
        assert trigger.labels_wanted(replace(quiet, alerts=[other])) == 0
    lasting = replace(alert(20), evidence=AlertEvidence(kind="drift", last=NOW))
    assert trigger.labels_wanted(replace(quiet, alerts=[lasting])) == 12


def test_after_a_proven_loss_a_weeks_budget_of_errors_is_enough_for_the_next_retrain() -> None:
    """Only for a week, only after a retrain for a proven loss; 35 errors of 1,400 answers are 2.5 %."""
    decide = ErrorBudget(policy="error-budget").decide
    limit = at_most(60, 1000, 0.975)
    few, many = ([round_of(*[1 / n] * 2)] for n in (17 + 100 * limit, 18 + 100 * limit))
    waits = decide(situation(few, PromisedAccuracy(60, 1000)))
    assert (waits.verdict, waits.evidence.stored()["proven"]) == ("wait", False)
    proof = decide(situation([round_of(*[0.1] * 12)] * 3, PromisedAccuracy(60, 1000)))
    assert (proof.verdict, proof.evidence.stored()["proven"]) == ("retrain", True)
    again = decide(replace(situation(many, PromisedAccuracy(60, 1000)), asked=proof))
    assert again.verdict == "retrain"
    assert again.evidence.stored()["e_value"] < again.evidence.stored()["needed"]
    assert (
        "following up: error 0.257, promised 0.060, 0.077 at most: 103% of a week's budget spent"
        in again.reason
    )
    assert decide(replace(situation(few, PromisedAccuracy(60, 1000)), asked=proof)).verdict == "wait"
    seen = situation(many, PromisedAccuracy(60, 1000))
    assert decide(replace(seen, asked=again)).verdict == "retrain"
    part = Decision(
        "t", "triggers", NOW, "retrain", "", TriggerEvidence(parts=[{}, proof.evidence.stored()])
    )
    assert decide(replace(seen, asked=part)).verdict == "retrain"
    assert decide(replace(seen, asked=waits)).verdict == "wait"
    long_ago = replace(seen, asked=proof, last_retrain=NOW - timedelta(days=8))
    assert decide(long_ago).verdict == "wait"


def test_without_an_alarm_the_labels_there_are_still_count() -> None:
    """What no unlabelled signal can see, an old label's new meaning, is seen all the same."""
    lost = [round_of(*[0.1] * 12)] * 3
    decision = ErrorBudget(policy="error-budget").decide(situation(lost, PromisedAccuracy(6, 100)))
    assert decision.verdict == "retrain"
    assert "is beyond 0.151 (promised 0.060, 0.126 at most, budget 0.025)" in decision.reason
    assert decision.reason.endswith("40 needed; false retrains <= 0.05")
