"""The test behind `error-budget`: exact wealth, false retrains where nothing was lost, power where much was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import prod

import numpy as np
import pytest
from scipy.stats import binom

from core.records import Array, Decision
from pipelines.curation.draw import inclusion, systematic
from pipelines.triggers.betting import STAKES, _not_so_wrong, evidence, proof
from pipelines.triggers.error_budget import ErrorBudget
from pipelines.triggers.policy import Promise, Round, Situation

NOW = datetime(2026, 2, 1, tzinfo=UTC)
DAILY = 200  # requests
Chances = Callable[[np.random.Generator, Array], Array]


def round_of(*wrong: float, answers: float = 200.0, share: float = 0.1, labels: int = 20) -> Round:
    return Round(NOW, answers, share, wrong, labels=labels, picks=labels)


def wealth(rounds: list[Round], bound: float, alarms: Sequence[datetime] = ()) -> float:
    return float(evidence(rounds, np.array([bound]), alarms)[0])


def test_wealth_by_hand() -> None:
    """Half of the money bets, half waits for an alarm."""
    assert wealth([], 0.1) == 1.0
    stakes = [s * 0.5 for s in STAKES]
    lost = [(1 - f) ** 10 for f in stakes]
    assert wealth([round_of(answers=10, share=0.5)], 0.1) == pytest.approx(0.5 + np.mean(lost) / 2)
    one = [(1 - f) ** 9 * (1 + f * (1 / (0.25 * 0.1) - 1)) for f in stakes]
    twice = [round_of(0.25, answers=10, share=0.5)] * 2
    assert wealth(twice, 0.1) == pytest.approx(0.5 + np.mean([w**2 for w in one]) / 2)


def test_every_label_drawn_and_error_at_the_bound_wins_nothing() -> None:
    """With every answer labelled the product is (1 + f (1 / m - 1))^(m n) (1 - f)^(n - m n) <= 1."""
    exact = round_of(*[1.0] * 20, answers=200, share=1.0)
    by_hand = np.mean([prod([(1 + f * 9) ** 20, (1 - f) ** 180]) for f in STAKES])
    assert wealth([exact], 0.1) == pytest.approx(0.5 + by_hand / 2)
    assert by_hand <= 1


def test_an_alarm_brings_in_half_of_the_reserve() -> None:
    """A loss that comes late is proven sooner where an alarm said when."""
    quiet = [replace(round_of(), timestamp=NOW + timedelta(days=d)) for d in range(10)]
    lost = replace(round_of(*[0.3] * 15), timestamp=NOW + timedelta(days=10))
    whole, alone = wealth([*quiet, lost], 0.1), wealth([lost], 0.1)
    late = wealth([*quiet, lost], 0.1, [lost.timestamp])
    bet = 2 * alone - 1  # what 1 that bets from then on becomes
    assert late == pytest.approx(whole - 0.25 + bet / 4)
    assert late > 10 * whole
    early = wealth([*quiet, lost], 0.1, [NOW, lost.timestamp])
    assert whole - 0.375 < early - bet / 8 < late


def test_a_missing_label_and_a_higher_bound_only_lower_the_wealth() -> None:
    rounds = [round_of(0.1, 0.5, 0.9), round_of(0.2)]
    assert wealth([round_of(0.1, 0.9), round_of(0.2)], 0.1) < wealth(rounds, 0.1)
    assert wealth(rounds, 0.12) < wealth(rounds, 0.1)


def test_proof_is_the_wealth_against_the_worst_that_may_have_been_promised() -> None:
    lost = [round_of(*[0.2] * 12)] * 3
    exact, vague = Promise(6_000, 100_000), Promise(6, 100)
    assert proof(lost, exact, 0.03) < wealth(lost, 0.09)
    assert proof(lost, exact, 0.03) > proof(lost, vague, 0.03) > 0
    assert proof(lost, vague, 0.03) > proof(lost, Promise(12, 100), 0.03)
    assert proof([], vague, 0.03) < 1
    assert proof(lost, Promise(0, 50), 0.03) > 0


@pytest.mark.parametrize("error", [0.02, 0.1, 0.4])
def test_evaluation_rows_win_nothing_against_their_own_error(error: float) -> None:
    """Exactly: the mean over all numbers of wrong rows that there can be."""
    rows = 40
    won = [np.exp(_not_so_wrong(Promise(k, rows), np.array([error]))[0]) for k in range(rows + 1)]
    chance = binom.pmf(np.arange(rows + 1), rows, error)
    assert chance @ won == pytest.approx(1.0)


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


def situation(rounds: list[Round], promise: Promise) -> Situation:
    return Situation(NOW, NOW - timedelta(days=len(rounds)), 20, [], [], promise=promise, rounds=rounds)


def falls(seed: int, error: float, chances: Chances, days: int, every: int = 1) -> int | None:
    """The first day on which the test rejects; the evaluation rows are as random as the traffic."""
    rng = np.random.default_rng(seed)
    trigger = ErrorBudget(policy="error-budget")
    promise = Promise(int(rng.binomial(400, 0.06)), 400)
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
    false = [falls(seed, 0.06 + 0.03, chances, 40, every=4) for seed in range(100)]
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
        won.append(wealth([round_of(*chance[picked & wrong].tolist(), answers=DAILY)], 0.1))
    assert np.mean(won) < 1 + 3 * np.std(won) / 2000**0.5


def alert(days_ago: float, kind: str = "drift", verdict: str = "alert") -> Decision:
    at = NOW - timedelta(days=days_ago)
    return Decision(f"alert/{days_ago}", "monitoring", at, verdict, "moved", {"kind": kind})


def test_an_alarm_asks_for_labels_and_words_say_where_the_test_stands() -> None:
    trigger = ErrorBudget(policy="error-budget", labels=12)
    quiet = situation([round_of(0.2, labels=12)], Promise(6, 100))
    loud = replace(quiet, alerts=[alert(1)])
    assert (trigger.labels_wanted(quiet), trigger.labels_wanted(loud)) == (0, 12)
    assert trigger.decide(quiet).reason.startswith("error-budget: no alarm: 12 labels, e-value ")
    said = trigger.decide(loud)
    assert said.reason.startswith("error-budget: testing: 12 labels, e-value ")
    assert "20 needed" in said.reason
    assert said.evidence["false_retrain_rate"] == 0.05
    assert said.evidence["alarms"] == ["alert/1"]
    for other in (alert(1, "quality"), alert(1, verdict="over"), alert(20)):
        assert trigger.labels_wanted(replace(quiet, alerts=[other])) == 0
    lasting = replace(alert(20), evidence={"kind": "drift", "last": NOW.isoformat()})
    assert trigger.labels_wanted(replace(quiet, alerts=[lasting])) == 12


def test_a_proven_loss_is_followed_up_without_the_same_proof_again() -> None:
    """Only for a week, only after a retrain for a proven loss, and ever less easily."""
    lost = [round_of(*[0.2] * 12)]
    seen = situation(lost, Promise(6, 100))
    decide = ErrorBudget(policy="error-budget").decide
    waits = decide(seen)
    assert (waits.verdict, waits.evidence["needed"]) == ("wait", 20)
    proved = decide(situation([round_of(*[0.1] * 12)] * 3, Promise(6, 100)))
    assert (proved.verdict, proved.evidence["needed"]) == ("retrain", 20)
    asked, needed = proved, []
    for _ in range(4):
        asked = decide(replace(seen, asked=asked))
        assert (asked.verdict, asked.evidence["follow_up"]) == ("retrain", True)
        needed.append(asked.evidence["needed"])
        asked = replace(asked, evidence={**asked.evidence, "e_value": 19.0})
    assert needed == [2, 4, 8, 16]
    assert decide(replace(seen, asked=asked)).evidence["needed"] == 20
    part = Decision("t", "triggers", NOW, "retrain", "", {"of": [{}, proved.evidence]})
    assert decide(replace(seen, asked=part)).verdict == "retrain"
    assert decide(replace(seen, asked=waits)).verdict == "wait"
    long_ago = replace(seen, asked=proved, last_retrain=NOW - timedelta(days=8))
    assert decide(long_ago).verdict == "wait"


def test_without_an_alarm_the_labels_there_are_still_count() -> None:
    """What no unlabelled signal can see, an old label's new meaning, is seen all the same."""
    lost = [round_of(*[0.1] * 12)] * 3
    decision = ErrorBudget(policy="error-budget").decide(situation(lost, Promise(6, 100)))
    assert decision.verdict == "retrain"
    assert "is beyond 0.090 (promised 0.060 on 100 rows, budget 0.03)" in decision.reason
    assert decision.reason.endswith("20 needed; false retrains <= 0.05")
