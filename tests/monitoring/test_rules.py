"""What is bad: laws of every rule, and exact numbers on seeded histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from core import params
from core.errors import ParamsError
from core.records.signals import Signal
from flows.strategy import Strategy
from monitoring import Monitoring
from monitoring.alerts.rules.anomaly import AnomalyRule
from monitoring.alerts.rules.base import Rule
from monitoring.alerts.rules.predicted import PredictedRule
from monitoring.alerts.rules.range import RangeRule
from tests import ROOT

NOW = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday: the window is the Sunday
DAY = timedelta(days=1)
RULES: list[Rule] = [
    RangeRule(policy="range", signal="x", low=2.0, high=8.0),
    PredictedRule(policy="predicted", signal="x"),
    AnomalyRule(policy="anomaly", signal="x"),
]
TEMPLATE = ROOT / "everloop" / "templates" / "params.yaml"


def signal(value: float | None, days_ago: float = 0, **more: Any) -> Signal:
    end = NOW - days_ago * DAY
    return Signal("x", end - DAY, end, value, "unit", **more)


def history(values: Sequence[float | None]) -> list[Signal]:
    """One value a day, the last that of yesterday."""
    return [signal(v, len(values) - i) for i, v in enumerate(values)]


def noisy(days: int = 56, seed: int = 0, weekend: float = 0.0, trend: float = 0.0) -> list[Signal]:
    rng = np.random.default_rng(seed)
    ends = [NOW - (days - i) * DAY for i in range(days)]
    late = [(e - DAY).weekday() >= 5 for e in ends]
    values = [5 + rng.normal(0, 0.1) + weekend * w + trend * i for i, w in enumerate(late)]
    return history(values)


def names(rules: Sequence[Rule]) -> list[str]:
    return [type(r).__name__ for r in rules]


def judged(rule: Rule, value: float | None, past: Sequence[Signal], **more: Any) -> bool:
    return rule.judge(signal(value, **more), None, past).broken


# -- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=names(RULES))
@pytest.mark.parametrize(
    "past",
    [
        [],
        history([5.0]),
        history([None] * 60),
        history([float("nan")] * 60),
        [signal(5.0)] * 60,
        [signal(5.0, -d) for d in range(60)],
    ],
    ids=["none", "one", "unknown", "nan", "all at once", "from a clock that went back"],
)
def test_a_history_that_says_nothing_breaks_nothing(rule: Rule, past: list[Signal]) -> None:
    assert not judged(rule, 5.0, past)


@pytest.mark.parametrize("rule", RULES, ids=names(RULES))
def test_a_value_that_is_unknown_breaks_nothing(rule: Rule) -> None:
    assert not judged(rule, None, noisy())


@pytest.mark.parametrize("rule", RULES, ids=names(RULES))
def test_the_usual_is_fine_and_what_is_far_off_is_not(rule: Rule) -> None:
    assert [judged(rule, v, noisy()) for v in (5.0, 9.0, 1.0)] == [False, True, True]


@pytest.mark.parametrize("rule", RULES, ids=names(RULES))
def test_the_same_past_gives_the_same_verdict_and_stays_as_it_is(rule: Rule) -> None:
    past = noisy()
    copy = list(past)
    assert rule.judge(signal(5.4), None, past) == rule.judge(signal(5.4), None, past)
    assert past == copy


@pytest.mark.parametrize("rule", RULES[1:], ids=names(RULES[1:]))
@pytest.mark.parametrize(("times", "plus"), [(1000.0, 0.0), (1e-6, 3.0), (-1.0, 0.0)])
def test_another_unit_gives_the_same_verdict(rule: Rule, times: float, plus: float) -> None:
    past = noisy(weekend=1.0)
    other = [replace(s, value=times * (s.value or 0) + plus) for s in past]
    for value in (3.0, 5.0, 6.0, 7.0):
        assert judged(rule, value, past) == judged(rule, times * value + plus, other)


@pytest.mark.parametrize("rule", RULES[1:], ids=names(RULES[1:]))
def test_a_few_wild_days_do_not_widen_what_is_usual(rule: Rule) -> None:
    past = noisy()
    wild = [replace(s, value=500.0) if i in (20, 33, 47) else s for i, s in enumerate(past)]
    assert [judged(rule, v, wild) for v in (5.0, 7.0)] == [False, True]


@pytest.mark.parametrize("rule", RULES[1:], ids=names(RULES[1:]))
def test_a_constant_is_broken_by_a_change_and_not_by_rounding(rule: Rule) -> None:
    past = history([0.1 + 0.2] * 56)
    assert [judged(rule, v, past) for v in (0.3, 0.31)] == [False, True]


@pytest.mark.parametrize("kind", [PredictedRule, AnomalyRule])
@pytest.mark.parametrize(
    ("bad", "side", "expected"),
    [
        (None, None, [True, True]),
        ("above", None, [False, True]),
        ("below", None, [True, False]),
        ("whole", None, [True, False]),
        ("below", "both", [True, True]),
        (None, "above", [False, True]),
    ],
)
def test_the_side_is_the_signals_own_unless_told(
    kind: Any, bad: Any, side: Any, expected: list[bool]
) -> None:
    rule = kind(policy=kind.__name__.removesuffix("Rule").lower(), signal="x", side=side)
    assert [rule.judge(signal(v), bad, noisy()).broken for v in (1.0, 9.0)] == expected


@pytest.mark.parametrize("kind", [PredictedRule, AnomalyRule])
def test_what_is_too_small_to_matter_breaks_nothing(kind: Any) -> None:
    rule = kind(policy=kind.__name__.removesuffix("Rule").lower(), signal="x", least=2.0)
    assert [judged(rule, v, noisy()) for v in (6.9, 7.2)] == [False, True]


# -- range ------------------------------------------------------------------------------------------


def test_a_range_says_by_what_it_is_broken() -> None:
    verdict = RULES[0].judge(signal(9.25), None, ())
    assert (verdict.broken, verdict.words) == (True, "x 9.25 unit, more than 8")
    assert (verdict.low, verdict.high) == (2.0, 8.0)


@pytest.mark.parametrize(
    ("bad", "more", "broken"),
    [
        ("above", {"baseline": 4.0}, True),
        ("below", {"baseline": 4.0}, False),
        ("below", {"baseline": 6.0}, True),
        ("whole", {"baseline": 6.0, "low": 4.0, "high": 5.5}, True),
        ("whole", {"baseline": 6.0, "low": 4.0, "high": 6.5}, False),
        ("whole", {"baseline": 6.0}, False),
        ("above", {}, False),
        (None, {"baseline": 4.0}, False),
    ],
)
def test_a_range_without_limits_takes_the_signals_own(bad: Any, more: Any, broken: bool) -> None:
    rule = RangeRule(policy="range", signal="x")
    assert rule.judge(signal(5.0, **more), bad, ()).broken is broken


def test_what_must_be_proven_is_proven_for_limits_of_the_user_too() -> None:
    rule = RangeRule(policy="range", signal="x", low=0.85)
    found = [signal(0.8, low=0.7, high=h) for h in (0.84, 0.9)]
    assert [rule.judge(s, "whole", ()).broken for s in found] == [True, False]


# -- predicted ----------------------------------------------------------------------------------------


def test_a_weekend_like_those_before_is_usual_and_on_a_weekday_it_is_not() -> None:
    past = noisy(weekend=3.0)
    rule = RULES[1]
    sunday = rule.judge(signal(8.0), None, past)
    assert not sunday.broken
    assert sunday.low is not None
    assert sunday.high is not None
    assert (sunday.low + sunday.high) / 2 == pytest.approx(8.0, abs=0.15)
    assert 0.3 < sunday.high - sunday.low < 2.0
    monday = replace(signal(8.0), window_start=NOW, window_end=NOW + DAY)
    assert rule.judge(monday, None, [*past, signal(8.0)]).broken
    assert judged(rule, 5.0, past)  # a Sunday like a weekday


def test_the_level_follows_slow_growth() -> None:
    past = noisy(weekend=3.0, trend=0.05)
    assert not judged(RULES[1], 5 + 3 + 0.05 * 56, past)
    assert judged(RULES[1], 5 + 3, past)


def test_false_alarms_of_a_season_foretold_are_few() -> None:
    """Four standard deviations of normal noise: on 1,000 series no more than a handful."""
    rule = RULES[1]
    rng = np.random.default_rng(1)
    alarms = sum(
        judged(rule, 8.0 + rng.normal(0, 0.1), noisy(seed=seed, weekend=3.0)) for seed in range(300)
    )
    assert alarms <= 3


@pytest.mark.parametrize(("weeks", "enough"), [(3, False), (4, True)])
def test_few_weeks_are_not_enough_to_foretell(weeks: int, enough: bool) -> None:
    verdict = RULES[1].judge(signal(9.0), None, noisy(days=7 * weeks + 3))
    assert verdict.broken is enough
    if not enough:
        assert verdict.words == (
            "not enough history: 2; 3 weeks of the same weekday, and one before, needed"
        )


def test_a_window_an_hour_late_or_a_day_missed_is_still_the_same_weekday() -> None:
    late = [replace(s, window_end=s.window_end + timedelta(hours=i % 3)) for i, s in enumerate(noisy())]
    some = [s for i, s in enumerate(late) if i % 9]
    assert [judged(RULES[1], v, some) for v in (5.0, 9.0)] == [False, True]


# -- anomaly --------------------------------------------------------------------------------------------


def test_the_modified_z_score_is_that_of_the_book() -> None:
    past = history([10.0, 12.0, 14.0, 16.0, 18.0] * 3)  # median 14, MAD 2
    edge = 14 + 3.5 * 1.4826 * 2
    assert [judged(RULES[2], v, past) for v in (edge - 0.01, edge + 0.01)] == [False, True]
    verdict = RULES[2].judge(signal(30.0), None, past)
    assert verdict.words == "x 30 unit, more than 24.38, usual in the last 15 values"


def test_few_values_are_not_enough_for_a_score() -> None:
    verdict = RULES[2].judge(signal(9.0), None, history([5.0] * 13))
    assert (verdict.broken, verdict.words) == (False, "not enough history: 13; 14 values needed")


# -- params.yaml ----------------------------------------------------------------------------------------


def written(tmp_path: Path, rules: list[dict[str, Any]], **more: Any) -> Monitoring:
    raw = yaml.safe_load(TEMPLATE.read_text())
    raw["monitoring"] = {**raw["monitoring"], "rules": rules, **more}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return params.load(path, Strategy).monitoring


def test_rules_are_written_in_params_yaml(tmp_path: Path) -> None:
    asked = [
        {"signal": "rows", "policy": "predicted"},
        {
            "signal": "drift.labels",
            "policy": "range",
            "high": 0.4,
            "segment": "plan=pro",
            "severity": "critical",
        },
        {"signal": "mine.own", "policy": "anomaly", "score": 5.0},
    ]
    found = written(tmp_path, asked).rules
    assert found == [
        PredictedRule(policy="predicted", signal="rows"),
        RangeRule(
            policy="range", signal="drift.labels", high=0.4, segment="plan=pro", severity="critical"
        ),
        AnomalyRule(policy="anomaly", signal="mine.own", score=5.0),
    ]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"signal": "drift.lables", "policy": "range"}, "monitoring.rules.0.signal: got 'drift.lables', expected a known signal; did you mean 'drift.labels'\\?"),
        ({"signal": "rows", "policy": "ranged"}, "monitoring.rules.0.policy: got 'ranged', expected one of anomaly, predicted, range; did you mean 'range'\\?"),
        ({"signal": "rows", "policy": "range", "hi": 3}, "monitoring.rules.0.hi: unknown key; did you mean 'high'\\?"),
        ({"policy": "range"}, "monitoring.rules.0.signal: missing"),
    ],
)  # fmt: skip
def test_a_rule_with_a_fault_is_refused(tmp_path: Path, rule: dict[str, Any], fault: str) -> None:
    with pytest.raises(ParamsError, match=fault):
        written(tmp_path, [rule])


def test_an_address_in_params_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ParamsError, match="expected the environment variable that holds the URL, as env:"
    ):
        written(tmp_path, [], notify=["json://token@example.com"])
    assert written(tmp_path, [], notify=["env:SLACK"]).notify == ["env:SLACK"]
    with pytest.raises(ValidationError, match="warning"):
        Monitoring(notify_from="loud")  # type: ignore[arg-type]  # that is the fault
