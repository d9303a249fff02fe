"""Pacing: what `need` saves and spends."""

from __future__ import annotations

from datetime import timedelta

from everloop.laws.test_pacing import RATE, START, spent
from pipelines.curation.pacing.even import Even
from pipelines.curation.pacing.need import CARRY_DAYS, Need
from pipelines.curation.pacing.pacing import Account, RoundNeed


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
