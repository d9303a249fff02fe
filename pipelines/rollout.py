"""Is the candidate really better, for real users? First in the shadow, then for a share of them.

    shadow -> wait: 12 of 25 requests scored by both
    canary 25 % -> promote: 31 requests scored by both, agree 0.94, confidence 0.71 vs 0.69,
        accuracy on 4 labels 0.75 vs 0.50

Both models score every request of a rollout, so the comparison is paired: traffic that happens to be
hard is hard for both. A stage looks once, when it has `min_requests`: looking again and again until
something is significant would roll good candidates back.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pandas as pd
from pydantic import Field, field_validator

from core.errors import RolloutError
from core.params import Section
from core.records import Decision, Rollout

Verdict = Literal["wait", "advance", "promote", "rollback"]
Z95 = 1.959964
COLLAPSE_ROWS = 25
COLLAPSE_SHARE, HEALTHY_SHARE = 0.9, 0.6


@dataclass(frozen=True)
class Comparison:
    """Candidate against champion on the requests of a stage. Shares in 0..1, NaN where nothing is."""

    requests: int  # that anyone answered
    pairs: int  # that both scored
    agree: float  # share of equal labels
    confidence: tuple[float, float]  # mean score: candidate, champion
    top_share: tuple[float, float]  # of each one's commonest label
    labels: int  # pairs with a known truth
    accuracy: tuple[float, float]
    difference: tuple[float, float, float]  # of accuracy, candidate - champion: low, middle, high


class ShadowCanary(Section):
    """Shadow, then growing shares of the users, then everybody; back at the first sign of harm.

    With the truth of some requests known, accuracy decides where it can: worse when the 95 % interval
    of the paired difference lies below -tolerance, better when it lies above 0. Where accuracy cannot
    tell, three signs that need no label do: a mean confidence far below the champion's, one label for
    nearly everything, or answers that have next to nothing in common with the champion's.
    """

    policy: Literal["shadow-canary"] = Field(description="the name of this policy")
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
        """A rollout in the shadow. The same key, candidate and champion give the same `rollout_id`."""
        if candidate == champion:
            raise RolloutError(
                "the candidate is the champion already",
                got=f"version {candidate}",
                expected="another version",
            )
        name = "\x1f".join((key, candidate, champion)).encode()
        rollout_id = f"{candidate}-{hashlib.blake2b(name, digest_size=4).hexdigest()}"
        return Rollout(rollout_id, candidate, champion, "shadow", 0.0, now, now, f"against {champion}")

    def advance(
        self, rollout: Rollout, answers: pd.DataFrame, now: datetime
    ) -> tuple[Rollout, Decision]:
        """The rollout after this look at it, and why. `answers`: `Store.answers(stage_started, now)`.

        A stage older than `max_hours` decides on what it has: few pairs are judged by their labels
        alone; without any, it waits while there is no traffic, and rolls back a candidate that scored
        none of it.
        Raises RolloutError when the rollout is over.
        """
        _must_be_live(rollout)
        seen = compare(answers, rollout.candidate, rollout.champion)
        late = now - rollout.stage_started >= timedelta(hours=self.max_hours)
        verdict, reason = self._judge(seen, late)
        if verdict == "advance":
            share = next((s for s in sorted(self.shares) if s > rollout.share), None)
            verdict = "advance" if share else "promote"
        else:
            share = None
        decision = _decision(rollout, verdict, reason, now, seen)
        if share:
            stage = replace(rollout, stage="canary", share=share, stage_started=now)
            return replace(stage, reason=decision.reason), decision
        return _end(rollout, decision), decision

    def _judge(self, seen: Comparison, late: bool) -> tuple[Verdict, str]:
        if seen.pairs == 0 and seen.requests > 0 and late:
            return "rollback", f"the candidate scored none of {seen.requests} requests"
        if seen.pairs == 0 or (seen.pairs < self.min_requests and not late):
            return "wait", f"{seen.pairs} of {self.min_requests} requests scored by both"
        harm = self._harm(seen)
        return ("rollback", f"{harm}; {_words(seen)}") if harm else ("advance", _words(seen))

    def _harm(self, seen: Comparison) -> str:
        """What speaks against the candidate, "" when nothing does."""
        low, middle, high = seen.difference
        if high < -self.tolerance:
            return (
                f"accuracy is worse by {-middle:.2f} (95 % CI {low:+.2f}..{high:+.2f}, "
                f"tolerance {self.tolerance:g})"
            )
        if low > 0 or seen.pairs < self.min_requests:
            return ""
        new, old = seen.confidence
        if old - new > self.max_confidence_drop:
            return (
                f"confidence fell by {old - new:.2f}, at most {self.max_confidence_drop:g} is allowed"
            )
        new, old = seen.top_share
        if seen.pairs >= COLLAPSE_ROWS and new > COLLAPSE_SHARE and old < HEALTHY_SHARE:
            return f"one label is {new:.0%} of its answers, {old:.0%} of the champion's"
        if seen.agree < self.min_agreement:
            return f"only {seen.agree:.2f} of its answers are the champion's"
        return ""


RolloutPolicy = ShadowCanary


def promote(rollout: Rollout, now: datetime, reason: str) -> tuple[Rollout, Decision]:
    """End a rollout by hand for the candidate. Raises RolloutError when it is over."""
    return _by_hand(rollout, "promote", reason, now)


def roll_back(rollout: Rollout, now: datetime, reason: str) -> tuple[Rollout, Decision]:
    """End a rollout by hand for the champion. Raises RolloutError when it is over."""
    return _by_hand(rollout, "rollback", reason, now)


def compare(answers: pd.DataFrame, candidate: str, champion: str) -> Comparison:
    """The two models on the requests that both scored."""
    once = answers.drop_duplicates(["request_id", "model_version"]).set_index("request_id")
    new, old = (once[once["model_version"] == version] for version in (candidate, champion))
    pairs = new.join(old, how="inner", lsuffix="_new", rsuffix="_old")
    known = pairs[pairs["truth_new"].notna()]
    right_new, right_old = (known["truth_new"] == known[f"label_{who}"] for who in ("new", "old"))
    return Comparison(
        requests=int(answers["request_id"].nunique()),
        pairs=len(pairs),
        agree=_mean(pairs["label_new"] == pairs["label_old"]),
        confidence=(_mean(pairs["score_new"]), _mean(pairs["score_old"])),
        top_share=(_top_share(pairs["label_new"]), _top_share(pairs["label_old"])),
        labels=len(known),
        accuracy=(_mean(right_new), _mean(right_old)),
        difference=paired_difference(
            int((right_new & ~right_old).sum()), int((right_old & ~right_new).sum()), len(known)
        ),
    )


def paired_difference(gained: int, lost: int, n: int) -> tuple[float, float, float]:
    """Difference of two paired proportions with its 95 % interval: low, middle, high.

    `gained` rows only the first has right, `lost` only the second, of `n`. The Wald interval of the
    difference after adding 1/2 to each cell of the two-by-two table: Agresti and Min, "Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 24 (2005). Without
    the halves, three rows that all point one way would look certain.

    >>> [round(x, 2) for x in paired_difference(0, 3, 3)]
    [-1.18, -1.0, -0.02]
    >>> paired_difference(0, 0, 0)
    (-1.0, 0.0, 1.0)
    """
    if n == 0:
        return -1.0, 0.0, 1.0
    b, c, m = gained + 0.5, lost + 0.5, n + 2
    centre = (b - c) / m
    half = Z95 * math.sqrt((b + c) - (b - c) ** 2 / m) / m
    return centre - half, (gained - lost) / n, centre + half


def _words(seen: Comparison) -> str:
    new, old = seen.confidence
    text = f"{seen.pairs} requests scored by both, agree {seen.agree:.2f}"
    text += f", confidence {new:.2f} vs {old:.2f}"
    if seen.labels:
        new, old = seen.accuracy
        labels = "1 label" if seen.labels == 1 else f"{seen.labels} labels"
        text += f", accuracy on {labels} {new:.2f} vs {old:.2f}"
    return text


def _mean(values: pd.Series) -> float:
    return float(values.astype(float).mean())


def _top_share(labels: pd.Series) -> float:
    return float(labels.value_counts(normalize=True).max()) if len(labels) else math.nan


def _decision(
    rollout: Rollout, verdict: Verdict, reason: str, now: datetime, seen: Comparison | None = None
) -> Decision:
    where = "shadow" if rollout.stage == "shadow" else f"canary {rollout.share * 100:g} %"
    evidence = {
        "rollout": rollout.rollout_id,
        "candidate": rollout.candidate,
        "champion": rollout.champion,
    }
    return Decision(
        key=f"rollout/{rollout.rollout_id}/{rollout.stage}/{rollout.share:g}",
        stage="rollout",
        timestamp=now,
        verdict=verdict,
        reason=f"{where} -> {verdict}: {reason}",
        evidence=evidence | (_numbers(seen) if seen else {}),
        severity="warning" if verdict == "rollback" else "info",
    )


def _numbers(seen: Comparison) -> dict[str, Any]:
    """The comparison as JSON takes it: lists for tuples, null for NaN."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(seen)).replace("NaN", "null"))
    return found


def _by_hand(
    rollout: Rollout, verdict: Verdict, reason: str, now: datetime
) -> tuple[Rollout, Decision]:
    _must_be_live(rollout)
    decision = _decision(rollout, verdict, f"by hand, {reason}", now)
    return _end(rollout, decision), decision


def _end(rollout: Rollout, decision: Decision) -> Rollout:
    """The rollout as a final verdict leaves it; as it is, while it waits."""
    if decision.verdict == "wait":
        return rollout
    done = replace(rollout, stage_started=decision.timestamp, reason=decision.reason)
    if decision.verdict == "promote":
        return replace(done, stage="promoted", share=1.0)
    return replace(done, stage="rolled_back", share=0.0)


def _must_be_live(rollout: Rollout) -> None:
    if not rollout.live:
        raise RolloutError(
            "this rollout is over",
            where=f"rollout {rollout.rollout_id} of version {rollout.candidate}",
            got=f"{rollout.stage}: {rollout.reason}",
            expected="a rollout in shadow or canary",
            do="everloop rollout status",
        )
