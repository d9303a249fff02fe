"""Laws of how labels are spent over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from pipelines.curation.pacing import CARRY_DAYS, Account, Even, Need, PacingPolicy, RoundNeed

START = datetime(2026, 1, 5, tzinfo=UTC)
RATE = 20
POLICIES: list[PacingPolicy] = [Even(policy="even"), Need(policy="need")]
every_pacing = pytest.mark.parametrize("pacing", POLICIES, ids=lambda p: p.policy)


def spent(
    pacing: PacingPolicy, needs: Sequence[float], hours: float = 24.0, rate: float = RATE
) -> tuple[list[int], Account]:
    """Labels of rounds `hours` apart in which a request's need was this."""
    account, looks, labels = Account(), [], []
    for i, need in enumerate(needs):
        looks.append(RoundNeed(START + timedelta(hours=hours) * (i + 1), 10, 10 * need))
        budget, account = pacing.budget(rate, hours / 24, account, looks)
        labels.append(budget)
    return labels, account


def random_needs(seed: int, rounds: int = 60) -> list[float]:
    rng = np.random.default_rng(seed)
    return (rng.random(rounds) * np.where(rng.random(rounds) < 0.2, 5, 1)).tolist()


@every_pacing
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hours", [1, 7.5, 24, 60])
def test_never_more_than_the_rate_times_the_days(pacing: PacingPolicy, seed: int, hours: float) -> None:
    labels, _ = spent(pacing, random_needs(seed), hours)
    earned = RATE * hours / 24 * np.arange(1, 61)
    assert (np.cumsum(labels) <= earned + 1e-6).all()


@every_pacing
def test_hourly_rounds_spend_what_daily_ones_do(pacing: PacingPolicy) -> None:
    needs = random_needs(3, 40)
    daily, _ = spent(pacing, needs)
    hourly, _ = spent(pacing, np.repeat(needs, 24).tolist(), hours=1)
    assert abs(sum(daily) - sum(hourly)) <= 0.1 * sum(daily)
    same, _ = spent(pacing, [0.3] * 40)
    each, _ = spent(pacing, [0.3] * 40 * 24, hours=1)
    assert same == [RATE] * 40
    assert sum(each) == sum(same)


@every_pacing
def test_a_quiet_stream_spends_evenly_and_a_need_of_nothing_is_no_need(pacing: PacingPolicy) -> None:
    assert spent(pacing, [0.2] * 30)[0] == [RATE] * 30
    assert spent(pacing, [0.0] * 3)[0] == [RATE] * 3


@every_pacing
def test_what_was_spent_elsewhere_is_owed_but_for_no_longer_than_a_day(pacing: PacingPolicy) -> None:
    look = [RoundNeed(START, 10, 1.0)]
    assert pacing.budget(RATE, 1.0, Account(-5.0), look)[0] == RATE - 5
    none, after = pacing.budget(RATE, 1.0, Account(-500.0), look)
    assert (none, pacing.budget(RATE, 1.0, after, look)[0]) == (0, RATE)


def test_savings_are_bounded_and_go_to_the_day_of_need() -> None:
    pacing = Need(policy="need")
    quiet = [1.0] * 10 + [0.1] * 30
    assert spent(pacing, quiet)[1].saved <= 8 * RATE
    labels, _ = spent(pacing, [1.0] * 10 + [0.5] * 5 + [3.0])
    assert labels[-1] > 2 * RATE
    assert max(labels) <= 8 * RATE


def test_a_long_gap_earns_no_more_than_can_be_carried() -> None:
    gap = Need(policy="need").budget(RATE, 30.0, Account(), [RoundNeed(START, 10, 1.0)])
    assert gap[0] == CARRY_DAYS * RATE
    assert Even(policy="even").budget(RATE, 30.0, Account(), [RoundNeed(START, 10, 1.0)])[0] == RATE


def test_need_is_compared_a_request_so_a_busy_day_alone_is_none() -> None:
    looks = [RoundNeed(START + timedelta(days=i), 100, 20) for i in range(10)]
    busy = [*looks, RoundNeed(START + timedelta(days=10), 1000, 200)]
    assert Need(policy="need").budget(RATE, 1.0, Account(), busy)[0] == RATE
