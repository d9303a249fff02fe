"""Who is answered by whom. The same user is answered by the same model for a whole stage."""

from __future__ import annotations

from core.records.answers import Variant
from core.records.rollouts import Rollout, Stage

SPLITS: dict[Stage, Variant] = {"canary": "canary", "ab_test": "challenger"}  # stages with a share


def route(user_key: str, request_id: str, rollout: Rollout | None) -> Variant:
    """`canary` or, in an A/B test, `challenger` for the rollout's share of users (of requests where no
    user is named), else `champion`.

    >>> route("cbae851becaadb26", "r1", None)
    'champion'
    """
    if rollout is None or rollout.stage not in SPLITS:
        return "champion"
    return SPLITS[rollout.stage] if rollout.draws(user_key or request_id) else "champion"
