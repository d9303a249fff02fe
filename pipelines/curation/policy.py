"""What every curation policy shares: a daily budget, an audit slice, and the draw."""

from __future__ import annotations

import hashlib
from datetime import datetime

import numpy as np
from pydantic import Field

from core.params import Section
from core.records import AnnotationTask, Array, Window
from pipelines.curation.draw import inclusion, systematic


class Curation(Section):
    """Chooses which logged requests are worth a label. A policy only says how much each is worth."""

    policy: str
    labels_per_day: int = Field(20, ge=0, description="annotation tasks made in any 24 hours, at most")
    audit_share: float = Field(
        0.1, ge=0, le=1, description="share of the budget drawn uniformly, for evaluation only"
    )

    def weights(self, window: Window) -> Array:
        """How much a label of each row is worth: (n,) positive numbers, any scale."""
        raise NotImplementedError

    def pick(self, window: Window, budget: int, round: str, now: datetime) -> list[AnnotationTask]:
        """Draw at most `budget` rows of a window. The same round draws the same rows again.

        The audit slice and the policy draw independently from all rows, so a row's chance of a label
        is exactly 1 - (1 - audit chance)(1 - policy chance); that is its stored propensity. A row
        that both draw is an audit row. A row of a log that keeps one in ten stands for ten requests and
        weighs ten times, so the draw is one from all traffic.
        """
        budget = min(budget, len(window))
        if budget <= 0:
            return []
        digest = hashlib.blake2b(f"{self.policy}/{round}".encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        for_audit = round_half_up(budget * self.audit_share)
        by_audit = inclusion(1 / window.kept, for_audit)
        by_policy = inclusion(self.weights(window) / window.kept, budget - for_audit)
        audit = set(systematic(by_audit, rng).tolist())
        chosen = sorted(audit | set(systematic(by_policy, rng).tolist()))
        propensity = 1 - (1 - by_audit) * (1 - by_policy)
        rows = window.rows
        return [
            AnnotationTask(
                prediction_id=str(rows["prediction_id"].iloc[i]),
                timestamp=now,
                round=round,
                policy="audit" if i in audit else self.policy,
                propensity=float(propensity[i]),
                audit=i in audit,
                text=str(rows["text"].iloc[i]),
                predicted=str(rows["label"].iloc[i]),
            )
            for i in chosen
        ]


def round_half_up(value: float) -> int:
    """Half a label is a label.

    >>> round_half_up(0.5), round_half_up(2.4)
    (1, 2)
    """
    return int(value + 0.5)
