"""Laws of how labels are spent over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from everloop.laws.members import every
from pipelines.curation.pacing.pacing import Account, Pacing, PacingPolicy, RoundNeed, paced

START = datetime(2026, 1, 5, tzinfo=UTC)
RATE = 20
every_pacing = every(PacingPolicy, "pacing")


def spent(
    pacing: Pacing, needs: Sequence[float], hours: float = 24.0, rate: float = RATE
) -> tuple[list[int], Account]:
    """Labels of rounds `hours` apart in which a request's need was this."""
    account, looks, labels = Account(), [], []
    for i, need in enumerate(needs):
        looks.append(RoundNeed(START + timedelta(hours=hours) * (i + 1), 10, 10 * need))
        budget, account = paced(pacing, rate, hours / 24, account, looks)
        labels.append(budget)
    return labels, account


def random_needs(seed: int, rounds: int = 60) -> list[float]:
    rng = np.random.default_rng(seed)
    needs: list[float] = (rng.random(rounds) * np.where(rng.random(rounds) < 0.2, 5, 1)).tolist()
    return needs


@every_pacing
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hours", [1, 7.5, 24, 60])
def test_never_more_than_the_rate_times_the_days(pacing: Pacing, seed: int, hours: float) -> None:
    labels, _ = spent(pacing, random_needs(seed), hours)
    earned = RATE * hours / 24 * np.arange(1, 61)
    assert (np.cumsum(labels) <= earned + 1e-6).all()


@every_pacing
def test_hourly_rounds_spend_what_daily_ones_do(pacing: Pacing) -> None:
    needs = random_needs(3, 40)
    daily, _ = spent(pacing, needs)
    hourly, _ = spent(pacing, np.repeat(needs, 24).tolist(), hours=1)
    assert abs(sum(daily) - sum(hourly)) <= 0.1 * sum(daily)
    same, _ = spent(pacing, [0.3] * 40)
    each, _ = spent(pacing, [0.3] * 40 * 24, hours=1)
    assert same == [RATE] * 40
    assert sum(each) == sum(same)


@every_pacing
def test_a_quiet_stream_spends_evenly_and_a_need_of_nothing_is_no_need(pacing: Pacing) -> None:
    assert spent(pacing, [0.2] * 30)[0] == [RATE] * 30
    assert spent(pacing, [0.0] * 3)[0] == [RATE] * 3


@every_pacing
def test_what_was_spent_elsewhere_is_owed_but_for_no_longer_than_a_day(pacing: Pacing) -> None:
    look = [RoundNeed(START, 10, 1.0)]
    assert paced(pacing, RATE, 1.0, Account(-5.0), look)[0] == RATE - 5
    none, after = paced(pacing, RATE, 1.0, Account(-500.0), look)
    assert (none, paced(pacing, RATE, 1.0, after, look)[0]) == (0, RATE)
