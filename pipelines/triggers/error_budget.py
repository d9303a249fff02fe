"""`error-budget`: retrain when labels prove that accuracy was lost beyond what is tolerated.

A label-free alarm (drift, confidence, novelty) costs nothing, and is often no loss of accuracy at all.
So an alarm only raises the stakes, and an anytime-valid test of all labels since the last retrain,
whatever they were picked for, decides:

    H0: the champion's error rate <= its error at promotion + budget

The error at promotion is itself known from some hundred evaluation rows only, and the e-value holds
whatever it was (`betting.proof`): 1 / alpha rejects. Each test runs from one retrain to the next, so a
stream in which accuracy never falls has a false retrain with a chance of at most `alpha`, however long
it is and however often it is looked at.

A model that has just begun to learn a new topic is still wrong too often. For a week after a retrain
for a proven loss the burden of proof is lighter, and the promise is taken as it was seen: an e-value
of FOLLOW_UP is enough, and twice as much for each retrain that follows on such a one. So a chain has
one false retrain at most, on average (1/2 + 1/4 + ...), and without a proven loss none begins.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from core.records import Decision
from pipelines.triggers.betting import evidence, proof
from pipelines.triggers.policy import Situation, Trigger, alarms, days, last_seen

KINDS = ("drift", "confidence", "accuracy", "feedback", "proxy")
FRESH_DAYS = 7  # an alarm that led to no retrain for so long was none
FOLLOW_UP = 2.0  # e-value that is enough for a retrain soon after one for a proven loss


class ErrorBudget(Trigger):
    policy: Literal["error-budget"]
    budget: float = Field(
        0.03, gt=0, lt=1, description="accuracy that may be lost after promotion without a retrain"
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
        bound = usual + self.budget
        if bound >= 1:
            return self.answer(situation, False, f"no error is beyond {bound:.2f}")
        called = alarms(situation, *KINDS)
        raised = sorted({a.timestamp for a in called})
        labels = sum(r.labels for r in rounds)
        wealth, needed = proof(rounds, promise, self.budget, raised), 1 / self.alpha
        lighter = self._lighter(situation)
        if lighter and wealth < needed:
            wealth, needed = float(evidence(rounds, np.array([bound]), raised)[0]), lighter
        known: dict[str, Any] = {
            "e_value": wealth,
            "needed": needed,
            "bound": bound,
            "promised_error": usual,
            "labels": labels,
            "follow_up": needed < 1 / self.alpha,
            "false_retrain_rate": min(1.0, 1 / needed),
            "alarms": [a.key for a in called],
        }
        so_far = f"{labels} labels, e-value {wealth:.3g}, {needed:g} needed"
        allowed = f"{bound:.3f} (promised {usual:.3f} on {promise.rows} rows, budget {self.budget:g})"
        if wealth < needed:
            why = "testing" if self._fresh(situation) else "no alarm"
            why = "following up" if needed < 1 / self.alpha else why
            reason = f"{why}: {so_far} to prove an error beyond {allowed}"
            return self.answer(situation, False, reason, **known)
        error = sum(r.error * r.answers for r in rounds) / sum(r.answers for r in rounds)
        rate = f"false retrains <= {known['false_retrain_rate']:.2g}"
        reason = f"error {error:.3f} is beyond {allowed}: {so_far}; {rate}"
        return self.answer(situation, True, reason, error=error, **known)

    def _lighter(self, situation: Situation) -> float | None:
        """What is enough now, days after a retrain for a proven loss: it may have come too early."""
        if situation.asked is None or days(situation.age) > FRESH_DAYS:
            return None
        said = [situation.asked.evidence, *situation.asked.evidence.get("of", [])]
        found = [e for e in said if "e_value" in e and e["e_value"] >= e["needed"]]
        if not found:
            return None
        last = float(found[0]["needed"])
        needed = FOLLOW_UP if last >= 1 / self.alpha else 2 * last
        return needed if needed < 1 / self.alpha else None

    def labels_wanted(self, situation: Situation, /) -> int:
        return self.labels if self._fresh(situation) else 0

    def _fresh(self, situation: Situation) -> bool:
        found = alarms(situation, *KINDS)
        return any(days(situation.now - last_seen(a)) <= FRESH_DAYS for a in found)
