"""Half of the users to each model for a fixed time, then one look, and a verdict with its evidence.

    A/B test 50 % -> wait: day 3.0 of 7 to 14, 61 of 200 labels
    A/B test 50 % -> promote: accuracy on 214 labels 0.93 vs 0.88, better by +0.047 (95 % CI
        +0.008..+0.083)

The end depends on time and on how much was seen, never on how it looks, and the outcome is looked at
once: whoever stops at the first look that is significant "proves" an equal candidate better or worse
far more often than 1 time in 20 (Armitage, McPherson and Rowe, "Repeated significance tests on
accumulating data", 1969).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from core.arrays import Frame
from core.intervals import Interval, unpaired_difference
from core.records.decisions import Decision
from core.records.rollouts import Rollout
from core.texts import counted
from pipelines.rollout.compare import arms, compare
from pipelines.rollout.promotion import Promotion, Verdict, begin, decision, end, must_be_live

Metric = Literal["accuracy", "feedback"]
DAY = timedelta(days=1)


@dataclass(frozen=True)
class AbEvidence:
    """One measure of both models. `gain`: how much better the candidate is, with its 95 % interval."""

    metric: Metric
    scored: int  # requests that both models scored
    seen: int  # of what `min_requests` counts
    of: str  # its name
    candidate: float
    champion: float
    gain: Interval

    def words(self) -> str:
        low, middle, high = self.gain
        if self.metric == "accuracy":
            labels = counted(self.seen, "label")
            both = f"accuracy on {labels} {self.candidate:.3f} vs {self.champion:.3f}"
        else:
            both = f"users who complained {self.candidate:.3f} vs {self.champion:.3f}"
        return f"{both}, better by {middle:+.3f} (95 % CI {low:+.3f}..{high:+.3f})"


class AbTest(Promotion):
    """Answers a share of the users with the candidate, looks once at the end, and decides.

    `accuracy`: both models score every request, so it is a paired comparison on those with a label.
    `feedback`: the share of users who complained (thumbs down, or a correction), of each arm; users
    were drawn into the arms, so users are counted, not their requests.
    """

    policy: Literal["ab-test"]
    share: float = Field(0.5, gt=0, lt=1, description="share of users answered by the candidate")
    metric: Metric = Field(
        "accuracy", description="what decides: accuracy on labels, or complaints of users (feedback)"
    )
    min_requests: int = Field(
        200, ge=1, description="labelled requests (accuracy) or requests of each arm (feedback) to see"
    )
    min_days: float = Field(7.0, ge=0, description="it lasts at least so long: weekdays differ")
    max_days: float = Field(14.0, gt=0, description="it ends then, whatever was seen")
    tie: Literal["champion", "candidate"] = Field(
        "champion", description="who serves when neither is proven better"
    )

    @field_validator("max_days")
    @classmethod
    def _not_before_the_least(cls, most: float, others: ValidationInfo) -> float:
        least = others.data.get("min_days", 0.0)
        if most < least:
            raise ValueError(f"at least min_days, {least:g}")
        return most

    def start(self, candidate: str, champion: str, now: datetime, key: str) -> Rollout:
        return begin((candidate, champion), now, key, "ab_test", self.share)

    def advance(self, rollout: Rollout, answers: Frame, now: datetime) -> tuple[Rollout, Decision]:
        """A rollout that another policy began is split from now on."""
        must_be_live(rollout)
        if rollout.stage != "ab_test":
            split = replace(rollout, stage="ab_test", share=self.share, stage_started=now)
            said = decision(rollout, "advance", "an A/B test of the users begins", now)
            return replace(split, reason=said.reason), said
        found = evidence(answers, rollout, self.metric)
        verdict, reason = self._judge(found, (now - rollout.stage_started) / DAY)
        said = decision(rollout, verdict, reason, now, found if verdict != "wait" else None)
        return end(rollout, said), said

    def _judge(self, found: AbEvidence, days: float) -> tuple[Verdict, str]:
        over = days >= self.min_days and found.seen >= self.min_requests
        if not over and days < self.max_days:
            span = f"day {days:.1f} of {self.min_days:g} to {self.max_days:g}"
            return "wait", f"{span}, {found.seen} of {self.min_requests} {found.of}"
        if found.scored == 0:
            return "rollback", "the candidate scored no request"
        low, _, high = found.gain
        if low > 0:
            return "promote", found.words()
        if high < 0:
            return "rollback", found.words()
        verdict: Verdict = "promote" if self.tie == "candidate" else "rollback"
        return verdict, f"neither is proven better, the {self.tie} is taken: {found.words()}"


def evidence(answers: Frame, rollout: Rollout, metric: Metric) -> AbEvidence:
    """What the answers of a rollout's stage say of its two models."""
    seen = compare(answers, rollout.candidate, rollout.champion)
    if metric == "accuracy":
        return AbEvidence(metric, seen.pairs, seen.labels, "labels", *seen.accuracy, seen.difference)
    new, old = arms(answers, rollout)
    gain = unpaired_difference((old.complained, old.users), (new.complained, new.users))
    least = min(new.requests, old.requests)
    return AbEvidence(metric, seen.pairs, least, "requests of each arm", new.share, old.share, gain)
