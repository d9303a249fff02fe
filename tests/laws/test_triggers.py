"""Laws that hold for every trigger; a new one is tested once it is in the union and in SETTINGS."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter

from core.records import Decision, Signal
from pipelines.triggers import TriggerPolicy
from pipelines.triggers.policy import Promise, Retrain, Round, Situation, Trigger

NOW = datetime(2026, 2, 1, tzinfo=UTC)
PERIODIC = {"policy": "periodic", "every_days": 3}
LABELS = {"policy": "labels", "at_least": 30}
SETTINGS: list[dict[str, Any]] = [
    PERIODIC,
    LABELS,
    {"policy": "drift"},
    {"policy": "accuracy"},
    {"policy": "error-budget"},
    {"policy": "cost-aware", "price_per_error": 1, "price_per_label": 0.5, "price_per_retrain": 20},
    {"policy": "any", "of": [PERIODIC, LABELS]},
    {"policy": "all", "of": [PERIODIC, LABELS]},
    {"policy": "at-least", "count": 2, "of": [PERIODIC, LABELS, {"policy": "drift"}]},
]
every_trigger = pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s["policy"])


def trigger(settings: dict[str, Any], **more: Any) -> Trigger:
    made: Trigger = TypeAdapter(TriggerPolicy).validate_python({**settings, **more})
    return made


def empty(now: datetime = NOW) -> Situation:
    return Situation(now, now, 0, [], [])


def alarming() -> Situation:
    """Everything is as bad as can be: whatever the trigger looks at, it fires."""
    seen = Signal("accuracy", NOW - timedelta(days=1), NOW, 0.4, "share", low=0.3, high=0.5)
    alert = Decision("alert/x", "monitoring", NOW, "alert", "far off", {"kind": "drift"})
    lost = Round(NOW, 200.0, 0.1, wrong=(0.1,) * 15, labels=20, picks=20)
    return Situation(
        now=NOW,
        last_retrain=NOW - timedelta(days=9),
        new_labels=100,
        alerts=[alert],
        signals=[seen, replace(seen, segment="model_version=3")],
        promise=Promise(10, 400),
        rounds=[lost] * 3,
        retrains=[Retrain(NOW - timedelta(days=9), 50, gain=0.02, shortfall=0.03)],
        requests_per_day=200.0,
    )


def random_situation(seed: int) -> Situation:
    rng = np.random.default_rng(seed)
    full = alarming()
    rounds = [
        Round(
            NOW, float(n), 0.1, tuple(rng.uniform(0.01, 1, size=w).tolist()), labels=w + 3, picks=w + 5
        )
        for n, w in zip(rng.integers(1, 500, 5), rng.integers(0, 12, 5), strict=True)
    ]
    return replace(
        full,
        last_retrain=NOW - timedelta(days=float(rng.uniform(0, 10))),
        new_labels=int(rng.integers(0, 60)),
        alerts=full.alerts if rng.random() < 0.5 else [],
        signals=full.signals if rng.random() < 0.5 else [],
        promise=Promise(int(rng.integers(0, 50)), 300) if rng.random() < 0.8 else None,
        rounds=rounds if rng.random() < 0.8 else [],
    )


def test_every_trigger_is_under_these_laws() -> None:
    known = {
        get_args(t.model_fields["policy"].annotation)[0] for t in get_args(get_args(TriggerPolicy)[0])
    }
    assert known == {s["policy"] for s in SETTINGS}


@every_trigger
@pytest.mark.parametrize("seed", range(8))
def test_the_same_situation_gives_the_same_answer_in_words(settings: dict[str, Any], seed: int) -> None:
    seen = random_situation(seed)
    decision = trigger(settings).decide(seen)
    assert decision == trigger(settings).decide(random_situation(seed))
    assert decision.verdict in ("retrain", "wait")
    assert (decision.stage, decision.timestamp) == ("triggers", NOW)
    assert decision.key == f"trigger/{NOW.isoformat()}"
    name, _, words = decision.reason.partition(": ")
    assert name in {s["policy"] for s in SETTINGS}
    assert len(words) > 10
    assert seen == random_situation(seed)  # not changed


@every_trigger
def test_nothing_known_is_no_reason_to_retrain(settings: dict[str, Any]) -> None:
    assert trigger(settings).decide(empty()).verdict == "wait"
    assert trigger(settings).labels_wanted(empty()) == 0


@every_trigger
@pytest.mark.parametrize(
    "change",
    [
        {"promise": Promise(0, 0)},
        {"promise": Promise(5, 5)},
        {"rounds": [Round(NOW, 0.0, 0.0, (), 0, 0)]},
        {"rounds": [Round(NOW, 1.0, 1.0, (1.0,), 1, 1)]},
        {"last_retrain": NOW + timedelta(days=2)},  # a clock that went back
        {"signals": [Signal("accuracy", NOW, NOW, None, "share", note="not enough")]},
        {"alerts": [Decision("a", "monitoring", NOW, "alert", "", {})]},
        {"retrains": [Retrain(NOW, 0), Retrain(NOW, 0, gain=-0.5, shortfall=-0.1)]},
        {"requests_per_day": 0.0, "new_labels": 0},
    ],
    ids=lambda c: next(iter(c)),
)
def test_an_odd_situation_gets_an_answer(settings: dict[str, Any], change: dict[str, Any]) -> None:
    decision = trigger(settings).decide(replace(alarming(), **change))
    assert decision.verdict in ("retrain", "wait")
    assert "nan" not in decision.reason


@every_trigger
def test_one_that_only_suggests_says_the_same_and_never_retrains(settings: dict[str, Any]) -> None:
    for seen in (alarming(), empty(), *(random_situation(i) for i in range(20))):
        acts = trigger(settings).decide(seen)
        suggests = trigger(settings, mode="suggest").decide(seen)
        assert suggests.verdict == {"retrain": "suggest", "wait": "wait"}[acts.verdict]
        assert (suggests.reason, suggests.evidence) == (acts.reason, acts.evidence)
    assert trigger(settings).decide(alarming()).verdict == "retrain"


@every_trigger
def test_a_part_that_only_suggests_makes_nothing_retrain(settings: dict[str, Any]) -> None:
    part = {**settings, "mode": "suggest"}
    assert trigger({"policy": "any", "of": [part]}).decide(alarming()).verdict == "suggest"
    both = [PERIODIC, part]
    assert trigger({"policy": "all", "of": both}).decide(alarming()).verdict == "suggest"
    assert trigger({"policy": "any", "of": both[::-1]}).decide(alarming()).verdict == "retrain"
    three = {"policy": "at-least", "count": 2, "of": [*both, PERIODIC]}
    assert trigger(three).decide(alarming()).verdict == "retrain"
