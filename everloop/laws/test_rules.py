"""Laws that hold for every alert rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core.records.signals import Signal
from everloop.laws.members import every
from monitoring.alerts.rules.base import Bad, Rule, RulePolicy, judged

NOW = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday: the window is the Sunday
DAY = timedelta(days=1)


def signal(value: float | None, days_ago: float = 0) -> Signal:
    end = NOW - days_ago * DAY
    return Signal("rows", end - DAY, end, value, "unit")


def history(values: Sequence[float | None]) -> list[Signal]:
    """One value a day, the last that of yesterday."""
    return [signal(v, len(values) - i) for i, v in enumerate(values)]


def noisy() -> list[Signal]:
    return history((5 + np.random.default_rng(0).normal(0, 0.1, 56)).tolist())


PASTS = {
    "none": [],
    "one": history([5.0]),
    "unknown": history([None] * 60),
    "nan": history([float("nan")] * 60),
    "all at once": [signal(5.0)] * 60,
    "from a clock that went back": [signal(5.0, -d) for d in range(60)],
    "two months": noisy(),
}


@every(RulePolicy, "rule")
@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize("bad", [None, "above", "below", "whole"])
def test_whatever_the_past_the_usual_and_the_unknown_break_nothing(
    rule: Rule, past: str, bad: Bad | None
) -> None:
    for value in (5.0, None):
        given = replace(signal(value), baseline=9.0 if bad == "above" else 2.0)
        assert not judged(rule, given, bad, PASTS[past]).broken


@every(RulePolicy, "rule")
def test_the_same_past_gives_the_same_verdict_and_stays_as_it_is(rule: Rule) -> None:
    past = noisy()
    assert judged(rule, signal(5.4), None, past) == judged(rule, signal(5.4), None, past)
    assert past == noisy()
    assert rule.memory >= timedelta(0)
