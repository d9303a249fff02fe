"""`cost-aware`: retrain when waiting is expected to cost more than the retrain does.

Both sums are in the user's money and estimated from the workspace's own history (after Mahadevan and
Mathioudakis 2024, "Cost-aware retraining for machine learning", and Regol et al. 2025, "When to
retrain a machine learning model"):

    waiting = price of an error * requests a day * days * (accuracy missing * share a retrain wins back)
    retrain = price of a label * labels of a retrain + price of an hour * hours of training
              + price of a retrain

What a retrain wins back is learnt from past ones: what they gained over what was missing before them.
So are the labels it learns from and the time that its training takes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.records.decisions import Decision
from pipelines.triggers.trigger import Retrain, Situation, Trigger

SIGNALS = ("accuracy", "accuracy.estimated")  # the first that has a value
BELIEF = 0.05  # accuracy missing, all of it won back: the retrain nobody has seen yet


class CostAware(Trigger):
    policy: Literal["cost-aware"]
    price_per_error: float = Field(
        ..., ge=0, examples=[1.0], description="what one wrong answer costs, in any money"
    )
    price_per_label: float = Field(
        ..., ge=0, examples=[0.5], description="what one label costs, in the same money"
    )
    price_per_retrain: float = Field(
        ...,
        ge=0,
        examples=[20.0],
        description="what a retrain costs besides labels and hours: review, rollout",
    )
    price_per_hour: float = Field(
        0, ge=0, description="what an hour of training costs; the hours are those of past retrains"
    )
    horizon_days: float = Field(7, gt=0, description="days that a retrain has to pay for itself")

    def decide(self, situation: Situation) -> Decision:
        promise = situation.promise
        seen = next((s for s in map(situation.signal, SIGNALS) if s and s.value is not None), None)
        if seen is None or seen.value is None:
            return self.answer(situation, False, f"none of {', '.join(SIGNALS)} for this window yet")
        if promise is None or promise.rows == 0:
            return self.answer(situation, False, "no evaluation rows say what was promised")
        missing = 1 - promise.wrong / promise.rows - seen.value
        share = won_back(situation.retrains)
        labels, hours = labels_of_a_retrain(situation), hours_of_a_retrain(situation)
        requests = situation.requests_per_day * self.horizon_days
        waiting = self.price_per_error * requests * missing * share
        training = self.price_per_hour * hours
        retrain = self.price_per_label * labels + training + self.price_per_retrain
        machine = f"{hours:.2g} h x {self.price_per_hour:g} + " if self.price_per_hour else ""
        reason = (
            f"waiting {self.horizon_days:g} days costs {waiting:,.2f} ({requests:,.0f} requests x "
            f"{missing:.3f} accuracy missing x {share:.2f} won back x {self.price_per_error:g}), "
            f"a retrain {retrain:,.2f} ({labels:.0f} {situation.truth}s x {self.price_per_label:g} + "
            f"{machine}{self.price_per_retrain:g})"
        )
        return self.answer(
            situation,
            waiting > retrain,
            reason,
            waiting=waiting,
            retrain=retrain,
            shortfall=missing,
            won_back=share,
            hours=hours,
            signal=seen.name,
        )


def won_back(retrains: list[Retrain]) -> float:
    """Share of the missing accuracy that retrains have won back, 0..1; 1 before any was measured.

    >>> from datetime import datetime
    >>> at = datetime(2026, 1, 5)
    >>> won_back([]), won_back([Retrain(at, 20, gain=0.02, shortfall=0.05)]).__round__(2)
    (1.0, 0.7)
    """
    known = [(r.gain, r.shortfall) for r in retrains if r.gain is not None and r.shortfall is not None]
    gained = BELIEF + sum(gain for gain, _ in known)
    missing = BELIEF + sum(max(shortfall, 0.0) for _, shortfall in known)
    return min(max(gained / missing, 0.0), 1.0)


def labels_of_a_retrain(situation: Situation) -> float:
    """What past retrains learnt from, on average; before the first, the labels that are there."""
    taken = [r.labels for r in situation.retrains]
    return sum(taken) / len(taken) if taken else float(situation.new_labels)


def hours_of_a_retrain(situation: Situation) -> float:
    """What the training of past retrains took, on average; 0 before any was timed.

    >>> from datetime import datetime
    >>> at = datetime(2026, 1, 5)
    >>> past = [Retrain(at, 20, seconds=1800), Retrain(at, 20)]
    >>> hours_of_a_retrain(Situation(at, at, 0, [], [], retrains=past))
    0.5
    """
    took = [r.seconds for r in situation.retrains if r.seconds is not None]
    return sum(took) / len(took) / 3600 if took else 0.0
