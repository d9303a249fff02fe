"""`error-budget`: retrain when labels prove that accuracy was lost beyond what is tolerated.

A label-free alarm (drift, confidence, novelty) costs nothing, and is often no loss of accuracy at all.
So an alarm only raises the stakes, and an anytime-valid test of all labels since the last retrain,
whatever they were picked for, decides:

    H0: the champion's error rate <= its error at promotion + budget

The error at promotion is itself known from some hundred evaluation rows only. Half of `alpha` pays
for its upper confidence limit, the other half for the test: wealth of 2 / alpha rejects. Each test runs
from one retrain to the next, so a stream in which accuracy never falls has a false retrain with a
chance of at most `alpha`, however long it is and however often it is looked at.

A model that has just begun to learn a new topic is still wrong too often, and one proof is enough. So
in the week after a retrain for a proven loss no other is needed: the next retrain comes when the errors
beyond what was promised at most are as many as the budget allows in a week. Errors are counted as the
labels weigh them, and nothing is proven by that; without a proven loss no such chain begins.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from core.evidence import TriggerEvidence
from core.intervals import at_most
from core.records.decisions import Decision
from pipelines.triggers.betting import evidence
from pipelines.triggers.trigger import Situation, Trigger, alarms, in_days, last_seen

KINDS = ("drift", "confidence", "accuracy", "feedback", "proxy")
FRESH_DAYS = 7  # an alarm that led to no retrain for so long was none


class ErrorBudget(Trigger):
    policy: Literal["error-budget"]
    budget: float = Field(
        0.025, gt=0, lt=1, description="accuracy that may be lost after promotion without a retrain"
    )
    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="chance of a retrain while no more than that was lost, at most"
    )
    labels: int = Field(
        0, ge=0, description="of a day's labels, drawn uniformly for the test after an alarm"
    )

    def decide(self, situation: Situation) -> Decision:
        promise, rounds = situation.promise, situation.rounds
        if promise is None or promise.rows == 0:
            return self.answer(situation, False, "no evaluation rows say what was promised")
        usual = promise.wrong / promise.rows
        limit = at_most(promise.wrong, promise.rows, 1 - self.alpha / 2)
        bound = limit + self.budget
        if bound >= 1:
            return self.answer(situation, False, f"no error is beyond {bound:.2f}")
        called = alarms(situation, *KINDS)
        wealth = evidence(rounds, bound, sorted({a.timestamp for a in called}))
        answers, labels = sum(r.answers for r in rounds), sum(r.labels for r in rounds)
        error = sum(r.error * r.answers for r in rounds) / answers if answers else 0.0
        spent = answers * (error - limit) / (self.budget * FRESH_DAYS * situation.requests_per_day or 1)
        proven = self._proven(situation)
        known: dict[str, Any] = {
            "e_value": wealth,
            "needed": 2 / self.alpha,
            "bound": bound,
            "promised_error": usual,
            "error": error,
            "labels": labels,
            "spent": spent,
            "proven": proven or wealth >= 2 / self.alpha,
            "false_retrain_rate": None if proven else self.alpha,  # what is only counted has no bound
            "alarms": [a.key for a in called],
        }
        so_far = f"{labels} {situation.truth}s, e-value {wealth:.3g}, {2 / self.alpha:g} needed"
        allowed = f"{bound:.3f} (promised {usual:.3f}, {limit:.3f} at most, budget {self.budget:g})"
        if wealth >= 2 / self.alpha:
            rate = f"false retrains <= {self.alpha:g}"
            reason = f"error {error:.3f} is beyond {allowed}: {so_far}; {rate}"
            return self.answer(situation, True, reason, **known)
        if proven:
            what = f"following up: error {error:.3f}, promised {usual:.3f}, {limit:.3f} at most"
            told = f"{spent:.0%} of a week's budget spent since the retrain"
            reason = f"{what}: {told}, {labels} {situation.truth}s"
            return self.answer(situation, spent >= 1, reason, **known)
        why = "testing" if self._fresh(situation) else "no alarm"
        reason = f"{why}: {so_far} to prove an error beyond {allowed}"
        return self.answer(situation, False, reason, **known)

    def _proven(self, situation: Situation) -> bool:
        """Whether the last retrain, days ago, was for a proven loss: it may have come too early."""
        if situation.asked is None or in_days(situation.age) > FRESH_DAYS:
            return False
        return situation.asked.read(TriggerEvidence).proves

    def labels_wanted(self, situation: Situation, /) -> int:
        return self.labels if self._fresh(situation) else 0

    def _fresh(self, situation: Situation) -> bool:
        found = alarms(situation, *KINDS)
        return any(in_days(situation.now - last_seen(a)) <= FRESH_DAYS for a in found)
