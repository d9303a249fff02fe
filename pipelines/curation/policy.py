"""What every curation policy shares: a daily budget, an audit slice, and the draw."""

from __future__ import annotations

import hashlib
from datetime import datetime

import numpy as np
from pydantic import Field

from core.params import Section
from core.records import AnnotationTask, Array, Window
from pipelines.curation.draw import inclusion, systematic

TEST = "test"  # the policy of rows drawn for a trigger's test


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

    def pick(
        self, window: Window, budget: int, round: str, now: datetime, *, for_test: int = 0
    ) -> list[AnnotationTask]:
        """Draw at most `budget` rows of a window. The same round draws the same rows again.

        The audit slice and the policy draw independently from all rows, so a row's chance of a label
        is exactly 1 - (1 - audit chance)(1 - policy chance); that is its stored propensity. A row
        that both draw is an audit row. A row of a log that keeps one in ten stands for ten requests and
        weighs ten times, so the draw is one from all traffic.

        `for_test` rows of the policy's part are drawn uniformly instead, in a third draw: a trigger
        tests the champion on them. They may train the next one, which is tested on rows of its own.
        """
        budget = min(budget, len(window))
        if budget <= 0:
            return []
        digest = hashlib.blake2b(f"{self.policy}/{round}".encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        for_audit = round_half_up(budget * self.audit_share)
        by_audit = inclusion(1 / window.kept, for_audit)
        for_test = min(for_test, budget - for_audit)
        by_test = inclusion(1 / window.kept, for_test)
        by_policy = inclusion(self.weights(window) / window.kept, budget - for_audit - for_test)
        audit = set(systematic(by_audit, rng).tolist())
        picked = set(systematic(by_policy, rng).tolist())
        test = set(systematic(by_test, rng).tolist()) if for_test else set()
        chosen = sorted(audit | picked | test)
        propensity = 1 - (1 - by_audit) * (1 - by_policy) * (1 - by_test)
        names = dict.fromkeys(test, TEST) | dict.fromkeys(audit, "audit")
        rows = window.rows
        return [
            AnnotationTask(
                prediction_id=str(rows["prediction_id"].iloc[i]),
                timestamp=now,
                round=round,
                policy=names.get(i, self.policy),
                propensity=float(propensity[i]),
                audit=i in audit,
                text=str(rows["text"].iloc[i]),
                predicted=str(rows["label"].iloc[i]),
            )
            for i in chosen
        ]


def answered(window: Window) -> dict[str, float]:
    """Requests each model version answered, counting what the kept rows stand for."""
    versions = window.rows["model_version"].to_numpy(dtype=str)
    return {str(v): float((1 / window.kept[versions == v]).sum()) for v in np.unique(versions)}


def round_half_up(value: float) -> int:
    """Half a label is a label.

    >>> round_half_up(0.5), round_half_up(2.4)
    (1, 2)
    """
    return int(value + 0.5)
