"""First in the shadow, then for a growing share of the users, then for everybody.

    shadow -> wait: 12 of 25 requests scored by both
    canary 25 % -> promote: 31 requests scored by both, agree 0.94, confidence 0.71 vs 0.69,
        accuracy on 4 labels 0.75 vs 0.50

Both models score every request of a rollout, so the comparison is paired: traffic that happens to be
hard is hard for both. A stage looks once, when it has `min_requests`: looking again and again until
something is significant would roll good candidates back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field, field_validator

from core.arrays import Frame
from core.records.decisions import Decision
from core.records.rollouts import Rollout
from core.texts import counted
from pipelines.rollout.compare import LiveComparison, compare
from pipelines.rollout.promotion import Promotion, Verdict, begin, decision, end, must_be_live

COLLAPSE_ROWS = 25
COLLAPSE_SHARE, HEALTHY_SHARE = 0.9, 0.6


class ShadowCanary(Promotion):
    """Shadow, then growing shares of the users, then everybody; back at the first sign of harm.

    With the truth of some requests known, accuracy decides where it can: worse when the 95 % interval
    of the paired difference lies below -tolerance, better when it lies above 0. Where accuracy cannot
    tell, three signs that need no label do: a mean confidence far below the champion's, one label for
    nearly everything, or answers that have next to nothing in common with the champion's.
    """

    policy: Literal["shadow-canary"]
    shares: list[float] = Field(
        [0.25], description="share of users in each canary step, growing, below 1"
    )
    min_requests: int = Field(25, ge=1, description="requests scored by both before a stage decides")
    max_hours: float = Field(24.0, gt=0, description="a stage this old decides on the requests it has")
    tolerance: float = Field(0.02, ge=0, lt=1, description="accuracy that may be lost")
    max_confidence_drop: float = Field(
        0.15, gt=0, le=1, description="roll back when mean confidence falls by more: needs no label"
    )
    min_agreement: float = Field(
        0.1, ge=0, lt=1, description="roll back when fewer answers than this share are the champion's"
    )

    @field_validator("shares")
    @classmethod
    def _growing(cls, shares: list[float]) -> list[float]:
        if not all(a < b for a, b in zip([0.0, *shares], [*shares, 1.0], strict=True)):
            raise ValueError("growing shares between 0 and 1, such as [0.05, 0.25]")
        return shares

    def start(self, candidate: str, champion: str, now: datetime, key: str) -> Rollout:
        return begin((candidate, champion), now, key, "shadow")

    def advance(self, rollout: Rollout, answers: Frame, now: datetime) -> tuple[Rollout, Decision]:
        """A stage older than `max_hours` decides on what it has: few pairs are judged by their labels
        alone; without any, it waits while there is no traffic, and rolls back a candidate that scored
        none of it.
        """
        must_be_live(rollout)
        seen = compare(answers, rollout.candidate, rollout.champion)
        late = now - rollout.stage_started >= timedelta(hours=self.max_hours)
        verdict, reason = self._judge(seen, late)
        share = next((s for s in self.shares if s > rollout.share), 0.0)
        if verdict == "advance" and not share:
            verdict = "promote"
        said = decision(rollout, verdict, reason, now, seen)
        if verdict == "advance":
            stage = replace(rollout, stage="canary", share=share, stage_started=now)
            return replace(stage, reason=said.reason), said
        return end(rollout, said), said

    def _judge(self, seen: LiveComparison, late: bool) -> tuple[Verdict, str]:
        if seen.pairs == 0 and seen.requests > 0 and late:
            return "rollback", f"the candidate scored none of {seen.requests} requests"
        if seen.pairs == 0 or (seen.pairs < self.min_requests and not late):
            return "wait", f"{seen.pairs} of {self.min_requests} requests scored by both"
        harm = self._harm(seen)
        return ("rollback", f"{harm}; {_words(seen)}") if harm else ("advance", _words(seen))

    def _harm(self, seen: LiveComparison) -> str:
        """What speaks against the candidate, "" when nothing does."""
        low, middle, high = seen.difference
        if high < -self.tolerance:
            span = f"(95 % CI {low:+.2f}..{high:+.2f}, tolerance {self.tolerance:g})"
            return f"accuracy is worse by {-middle:.2f} {span}"
        if low > 0 or seen.pairs < self.min_requests:
            return ""
        new, old = seen.confidence
        if old - new > self.max_confidence_drop:
            most = f"at most {self.max_confidence_drop:g} is allowed"
            return f"confidence fell by {old - new:.2f}, {most}"
        new, old = seen.top_share
        if seen.pairs >= COLLAPSE_ROWS and new > COLLAPSE_SHARE and old < HEALTHY_SHARE:
            return f"one label is {new:.0%} of its answers, {old:.0%} of the champion's"
        if seen.agree < self.min_agreement:
            return f"only {seen.agree:.2f} of its answers are the champion's"
        return ""


def _words(seen: LiveComparison) -> str:
    new, old = seen.confidence
    text = f"{seen.pairs} requests scored by both, agree {seen.agree:.2f}"
    text += f", confidence {new:.2f} vs {old:.2f}"
    if seen.labels:
        new, old = seen.accuracy
        labels = counted(seen.labels, "label")
        text += f", accuracy on {labels} {new:.2f} vs {old:.2f}"
    return text
