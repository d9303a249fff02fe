"""Laws that hold for every trigger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from core.evidence import AlertEvidence
from core.records.decisions import Decision
from core.records.signals import Signal
from everloop.laws.members import every
from pipelines.triggers.periodic import Periodic
from pipelines.triggers.trigger import (
    PromisedAccuracy,
    Retrain,
    Round,
    Situation,
    Trigger,
    TriggerPolicy,
    decided,
    labels_wanted,
)

NOW = datetime(2026, 2, 1, tzinfo=UTC)
PERIODIC = Periodic(policy="periodic", every_days=3)
every_trigger = every(TriggerPolicy, "trigger")


def changed(trigger: Trigger, **settings: Any) -> Trigger:
    return trigger.model_copy(update=settings)


def several(policy: str, *of: Trigger, **settings: Any) -> Trigger:
    read: Callable[[Any], Trigger] = TypeAdapter(TriggerPolicy).validate_python
    return read({"policy": policy, "of": list(of), **settings})


def empty(now: datetime = NOW) -> Situation:
    return Situation(now, now, 0, [], [])


def alarming() -> Situation:
    """Everything is as bad as can be: whatever the trigger looks at, it fires."""
    seen = Signal("accuracy", NOW - timedelta(days=1), NOW, 0.4, "share", low=0.3, high=0.5)
    alert = Decision("alert/x", "monitoring", NOW, "alert", "far off", AlertEvidence(kind="drift"))
    lost = Round(NOW, 200.0, 0.1, wrong=(0.1,) * 15, labels=20, picks=20)
    return Situation(
        now=NOW,
        last_retrain=NOW - timedelta(days=9),
        new_labels=100,
        alerts=[alert],
        signals=[seen, replace(seen, segment="model_version=3")],
        promise=PromisedAccuracy(10, 400),
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
        promise=PromisedAccuracy(int(rng.integers(0, 50)), 300) if rng.random() < 0.8 else None,
        rounds=rounds if rng.random() < 0.8 else [],
    )


@every_trigger
@pytest.mark.parametrize("seed", range(8))
def test_the_same_situation_gives_the_same_answer_in_words(trigger: Trigger, seed: int) -> None:
    seen = random_situation(seed)
    decision = decided(trigger, seen)
    assert decision == decided(trigger, random_situation(seed))
    assert decision.verdict in ("retrain", "wait")
    assert (decision.stage, decision.timestamp) == ("triggers", NOW)
    assert decision.key == f"trigger/{NOW.isoformat()}"
    name, _, words = decision.reason.partition(": ")
    assert name in {trigger.policy, *(part.policy for part in getattr(trigger, "of", ()))}
    assert len(words) > 10
    assert seen == random_situation(seed)  # not changed


@every_trigger
def test_nothing_known_is_no_reason_to_retrain(trigger: Trigger) -> None:
    assert decided(trigger, empty()).verdict == "wait"
    assert labels_wanted(trigger, empty()) == 0


@every_trigger
@pytest.mark.parametrize(
    "change",
    [
        {"promise": PromisedAccuracy(0, 0)},
        {"promise": PromisedAccuracy(5, 5)},
        {"rounds": [Round(NOW, 0.0, 0.0, (), 0, 0)]},
        {"rounds": [Round(NOW, 1.0, 1.0, (1.0,), 1, 1)]},
        {"last_retrain": NOW + timedelta(days=2)},  # a clock that went back
        {"signals": [Signal("accuracy", NOW, NOW, None, "share", note="not enough")]},
        {"alerts": [Decision("a", "monitoring", NOW, "alert", "")]},
        {"retrains": [Retrain(NOW, 0), Retrain(NOW, 0, gain=-0.5, shortfall=-0.1)]},
        {"requests_per_day": 0.0, "new_labels": 0},
    ],
    ids=lambda c: next(iter(c)),
)
def test_an_odd_situation_gets_an_answer(trigger: Trigger, change: dict[str, Any]) -> None:
    decision = decided(trigger, replace(alarming(), **change))
    assert decision.verdict in ("retrain", "wait")
    assert "nan" not in decision.reason


@every_trigger
def test_one_that_only_suggests_says_the_same_and_never_retrains(trigger: Trigger) -> None:
    for seen in (alarming(), empty(), *(random_situation(i) for i in range(20))):
        acts = decided(trigger, seen)
        suggests = decided(changed(trigger, mode="suggest"), seen)
        assert suggests.verdict == {"retrain": "suggest", "wait": "wait"}[acts.verdict]
        assert (suggests.reason, suggests.evidence) == (acts.reason, acts.evidence)
    assert decided(trigger, alarming()).verdict == "retrain"


@every_trigger
def test_a_part_that_only_suggests_makes_nothing_retrain(trigger: Trigger) -> None:
    part = changed(trigger, mode="suggest")
    assert several("any", part).decide(alarming()).verdict == "suggest"
    assert several("all", PERIODIC, part).decide(alarming()).verdict == "suggest"
    assert several("any", part, PERIODIC).decide(alarming()).verdict == "retrain"
    three = several("at-least", PERIODIC, part, PERIODIC, count=2)
    assert three.decide(alarming()).verdict == "retrain"
