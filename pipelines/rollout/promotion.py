"""What every rollout policy begins, ends and says."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from core.arrays import Frame
from core.errors import RolloutError
from core.evidence import RolloutEvidence
from core.params import Section
from core.records.decisions import Decision
from core.records.rollouts import Rollout, Stage
from core.returned import finite, shown, wrong

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Verdict = Literal["wait", "advance", "promote", "rollback"]
ENDS = {"promote": "promoted", "rollback": "rolled_back"}


class Promotion(Section):
    """Takes a candidate to all users, step by step, or back."""

    policy: str

    @abstractmethod
    def start(self, candidate: str, champion: str, now: datetime, key: str) -> Rollout:
        """A rollout that begins. The same key, candidate and champion give the same `rollout_id`."""

    @abstractmethod
    def advance(self, rollout: Rollout, answers: Frame, now: datetime) -> tuple[Rollout, Decision]:
        """The rollout after this look at it, and why. `answers`: those of both models since the stage
        began, `store.answers.side_by_side(stage_started, now)`.

        Raises RolloutError when the rollout is over.
        """


def started(policy: Promotion, versions: tuple[str, str], now: datetime, key: str) -> Rollout:
    """The rollout of (candidate, champion) that a policy begins. Raises PolicyError where it is of
    others, or is over at once."""
    found: Any = policy.start(*versions, now, key)
    if not isinstance(found, Rollout) or not found.live or not _sound(found, versions):
        wrong(policy, "start", shown(found), f"a live rollout of {versions}, such as begin() makes")
    return found


def advanced(
    policy: Promotion, rollout: Rollout, answers: Frame, now: datetime
) -> tuple[Rollout, Decision]:
    """A policy's next look at a rollout. Raises PolicyError where it answers of another rollout, or
    where rollout and verdict do not agree."""
    found: Any = policy.advance(rollout, answers, now)
    expected = "(the same rollout after this look, what decision() returns)"
    if not isinstance(found, tuple) or list(map(type, found)) != [Rollout, Decision]:
        wrong(policy, "advance", shown(found), expected)
    moved, said = found
    if moved.rollout_id != rollout.rollout_id or not _sound(
        moved, (rollout.candidate, rollout.champion)
    ):
        wrong(policy, "advance", shown(moved), f"{expected}; the rollout was {rollout}")
    if said.stage != "rollout" or said.verdict not in get_args(Verdict):
        wrong(policy, "advance", shown(said), f"a verdict of {', '.join(get_args(Verdict))}")
    if ENDS.get(said.verdict) != (None if moved.live else moved.stage):
        wrong(policy, "advance", f"{said.verdict} with a rollout that is {moved.stage}", expected)
    return moved, said


def _sound(rollout: Rollout, versions: tuple[str, str]) -> bool:
    return (
        (rollout.candidate, rollout.champion) == versions
        and rollout.stage in get_args(Stage)
        and finite(rollout.share)
        and 0 <= rollout.share <= 1
    )


def begin(names: tuple[str, str], now: datetime, key: str, stage: Stage, share: float = 0.0) -> Rollout:
    """A rollout of (candidate, champion). The same key and names give the same `rollout_id`."""
    candidate, champion = names
    if candidate == champion:
        raise RolloutError(
            "the candidate is the champion already",
            got=f"version {candidate}",
            expected="another version",
        )
    name = "\x1f".join((key, candidate, champion)).encode()
    rollout_id = f"{candidate}-{hashlib.blake2b(name, digest_size=4).hexdigest()}"
    return Rollout(rollout_id, candidate, champion, stage, share, now, now, f"against {champion}")


def promote(rollout: Rollout, now: datetime, reason: str) -> tuple[Rollout, Decision]:
    """End a rollout by hand for the candidate. Raises RolloutError when it is over."""
    return _by_hand(rollout, "promote", reason, now)


def roll_back(rollout: Rollout, now: datetime, reason: str) -> tuple[Rollout, Decision]:
    """End a rollout by hand for the champion. Raises RolloutError when it is over."""
    return _by_hand(rollout, "rollback", reason, now)


def decision(
    rollout: Rollout,
    verdict: Verdict,
    reason: str,
    now: datetime,
    seen: DataclassInstance | None = None,
) -> Decision:
    """A verdict on the stage a rollout is in; the numbers of `seen` are its evidence."""
    numbers = {"candidate": rollout.candidate, "champion": rollout.champion}
    return Decision(
        key=f"rollout/{rollout.rollout_id}/{rollout.stage}/{rollout.share:g}",
        stage="rollout",
        timestamp=now,
        verdict=verdict,
        reason=f"{stage_name(rollout)} -> {verdict}: {reason}",
        evidence=RolloutEvidence(
            rollout.rollout_id, numbers=numbers | (_numbers(seen) if seen else {})
        ),
        severity="warning" if verdict == "rollback" else "info",
    )


def stage_name(rollout: Rollout) -> str:
    """The stage for people: `canary 25 %`."""
    share = f" {rollout.share * 100:g} %"
    return {"shadow": "shadow", "canary": f"canary{share}", "ab_test": f"A/B test{share}"}.get(
        rollout.stage, rollout.stage
    )


def end(rollout: Rollout, verdict: Decision) -> Rollout:
    """The rollout as a final verdict leaves it; as it is, while it waits."""
    if verdict.verdict == "wait":
        return rollout
    done = replace(rollout, stage_started=verdict.timestamp, reason=verdict.reason)
    if verdict.verdict == "promote":
        return replace(done, stage="promoted", share=1.0)
    return replace(done, stage="rolled_back", share=0.0)


def must_be_live(rollout: Rollout) -> None:
    if not rollout.live:
        raise RolloutError(
            "this rollout is over",
            where=f"rollout {rollout.rollout_id} of version {rollout.candidate}",
            got=f"{rollout.stage}: {rollout.reason}",
            expected="a rollout under way",
            do="everloop rollout status",
        )


def _numbers(seen: DataclassInstance) -> dict[str, Any]:
    """The evidence as JSON takes it: lists for tuples, null for NaN."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(seen)).replace("NaN", "null"))
    return found


def _by_hand(
    rollout: Rollout, verdict: Verdict, reason: str, now: datetime
) -> tuple[Rollout, Decision]:
    must_be_live(rollout)
    said = decision(rollout, verdict, f"by hand, {reason}", now)
    return end(rollout, said), said
