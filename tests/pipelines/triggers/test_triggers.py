"""Each trigger says when, and says why, word for word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from core.records.decisions import Decision
from core.records.signals import Signal
from pipelines.triggers import TriggerPolicy
from pipelines.triggers.trigger import PromisedAccuracy, Retrain, Situation, Trigger

NOW = datetime(2026, 1, 12, tzinfo=UTC)


def trigger(**settings: object) -> Trigger:
    made: Trigger = TypeAdapter(TriggerPolicy).validate_python(settings)
    return made


def situation(
    days: float = 3, labels: int = 54, alerts: list[Decision] | None = None, accuracy: float = 0.7
) -> Situation:
    seen = Signal(
        "accuracy",
        NOW - timedelta(days=1),
        NOW,
        accuracy,
        "share",
        None,
        accuracy - 0.1,
        accuracy + 0.05,
    )
    ours = replace(seen, segment="model_version=3")
    return Situation(NOW, NOW - timedelta(days=days), labels, alerts or [], [seen, ours])


def alert(kind: str = "drift") -> Decision:
    return Decision("alert/x", "monitoring", NOW, "alert", "MMD 6.2 sd above its null", {"kind": kind})


@pytest.mark.parametrize(
    ("settings", "seen", "verdict", "reason"),
    [
        ({"policy": "periodic", "every_days": 3}, situation(), "retrain", "periodic: 3.0 days since the last retrain, due every 3"),
        ({"policy": "periodic", "every_days": 7}, situation(), "wait", "periodic: 3.0 days since the last retrain, due every 7"),
        ({"policy": "labels", "at_least": 54}, situation(), "retrain", "labels: 54 new labels, 54 needed"),
        ({"policy": "labels", "at_least": 55}, situation(), "wait", "labels: 54 new labels, 55 needed"),
        ({"policy": "drift"}, situation(), "wait", "drift: no drift alert since the last retrain"),
        ({"policy": "drift"}, situation(alerts=[alert("quality")]), "wait", "drift: no drift alert since the last retrain"),
        ({"policy": "drift"}, situation(alerts=[alert()]), "retrain", "drift: MMD 6.2 sd above its null; 54 new labels to learn it from"),
        ({"policy": "drift"}, situation(days=2, alerts=[replace(alert(), timestamp=NOW - timedelta(days=2))]), "wait", "drift: drift goes on that the last retrain, 2.0 days ago, has answered"),
        ({"policy": "drift"}, situation(days=2, alerts=[replace(alert(), timestamp=NOW - timedelta(days=1)), replace(alert(), timestamp=NOW - timedelta(days=9))]), "retrain", "drift: MMD 6.2 sd above its null (on 2026-01-11 00:00); 54 new labels to learn it from"),
        ({"policy": "drift"}, situation(days=3, alerts=[replace(alert(), timestamp=NOW - timedelta(days=9))]), "retrain", "drift: MMD 6.2 sd above its null (on 2026-01-03 00:00); 54 new labels to learn it from"),
        ({"policy": "drift"}, situation(labels=4, alerts=[alert()]), "wait", "drift: drift, but only 4 new labels of 10 to learn it from"),
        ({"policy": "drift", "cooldown_days": 5}, situation(alerts=[alert()]), "wait", "drift: drift, but the last retrain was 3.0 days ago (cool-down 5)"),
        ({"policy": "accuracy", "floor": 0.8}, situation(accuracy=0.7), "retrain", "accuracy: 0.70 (95 % CI 0.60..0.75), floor 0.8"),
        ({"policy": "accuracy", "floor": 0.8}, situation(accuracy=0.78), "wait", "accuracy: 0.78 (95 % CI 0.68..0.83), floor 0.8"),
        ({"policy": "accuracy"}, situation(days=2), "wait", "accuracy: 0.70 (95 % CI 0.60..0.75), floor 0.8, but the last retrain was 2.0 days ago"),
        ({"policy": "accuracy"}, replace(situation(), signals=situation().signals[:1]), "wait", "accuracy: no accuracy of the answers of the model that serves yet"),
        (
            {"policy": "any", "of": [{"policy": "drift"}, {"policy": "labels", "at_least": 9}]},
            situation(),
            "retrain",
            "labels: 54 new labels, 9 needed",
        ),
        (
            {"policy": "all", "of": [{"policy": "drift"}, {"policy": "labels", "at_least": 9}]},
            situation(),
            "wait",
            "all: 1 of 2 fire, 2 needed: drift: no drift alert since the last retrain; labels: 54 new labels, 9 needed",
        ),
        (
            {"policy": "at-least", "count": 1, "of": [{"policy": "drift"}, {"policy": "labels", "at_least": 9}]},
            situation(),
            "retrain",
            "at-least: 1 of 2 fire, 1 needed: drift: no drift alert since the last retrain; labels: 54 new labels, 9 needed",
        ),
        (
            {"policy": "any", "of": [{"policy": "drift"}, {"policy": "any", "of": [{"policy": "labels"}]}]},
            situation(),
            "wait",
            "any: drift: no drift alert since the last retrain; any: labels: 54 new labels, 72 needed",
        ),
    ],
)  # fmt: skip
def test_verdict_and_reason(
    settings: dict[str, object], seen: Situation, verdict: str, reason: str
) -> None:
    decision = trigger(**settings).decide(seen)
    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert decision == trigger(**settings).decide(seen)
    assert decision.key == "trigger/2026-01-12T00:00:00+00:00"


PRICES = {"price_per_error": 1.0, "price_per_label": 0.5, "price_per_retrain": 20.0}


@pytest.mark.parametrize(
    ("prices", "retrains", "verdict", "reason"),
    [
        (
            PRICES,
            [],
            "retrain",
            "cost-aware: waiting 7 days costs 140.00 (700 requests x 0.200 accuracy missing x 1.00 won back x 1), a retrain 47.00 (54 labels x 0.5 + 20)",
        ),
        (
            PRICES,
            [Retrain(NOW, 30, gain=0.05, shortfall=0.45)],
            "wait",
            "cost-aware: waiting 7 days costs 28.00 (700 requests x 0.200 accuracy missing x 0.20 won back x 1), a retrain 35.00 (30 labels x 0.5 + 20)",
        ),
        (
            {**PRICES, "price_per_error": 2.0, "horizon_days": 14.0},
            [Retrain(NOW, 30, gain=0.05, shortfall=0.45)],
            "retrain",
            "cost-aware: waiting 14 days costs 112.00 (1,400 requests x 0.200 accuracy missing x 0.20 won back x 2), a retrain 35.00 (30 labels x 0.5 + 20)",
        ),
        (
            {**PRICES, "price_per_hour": 40.0},
            [Retrain(NOW, 30, gain=0.05, shortfall=0.45, seconds=5400), Retrain(NOW, 30)],
            "wait",
            "cost-aware: waiting 7 days costs 28.00 (700 requests x 0.200 accuracy missing x 0.20 won back x 1), a retrain 95.00 (30 labels x 0.5 + 1.5 h x 40 + 20)",
        ),
    ],
)  # fmt: skip
def test_both_sums_with_their_parts(
    prices: dict[str, float], retrains: list[Retrain], verdict: str, reason: str
) -> None:
    seen = replace(
        situation(accuracy=0.7),
        promise=PromisedAccuracy(10, 100),
        retrains=retrains,
        requests_per_day=100,
    )
    decision = trigger(policy="cost-aware", **prices).decide(seen)
    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert decision.evidence.stored()["waiting"] > 0 < decision.evidence.stored()["retrain"]


def test_the_best_estimate_there_is_counts() -> None:
    seen = replace(situation(accuracy=0.7), promise=PromisedAccuracy(10, 100))
    guess = replace(seen.signals[0], name="accuracy.estimated", value=0.85)
    decide = trigger(policy="cost-aware", **PRICES).decide
    assert (
        decide(replace(seen, signals=[*seen.signals, guess])).evidence.stored()["signal"] == "accuracy"
    )
    assert decide(replace(seen, signals=[guess])).evidence.stored()["signal"] == "accuracy.estimated"


def test_more_than_there_are_cannot_be_asked_for() -> None:
    with pytest.raises(ValidationError, match="a count of at most 1, the triggers there are"):
        trigger(policy="at-least", count=2, of=[{"policy": "drift"}])
