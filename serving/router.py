"""Who is answered by whom. The same user is answered by the same model for a whole stage."""

from __future__ import annotations

from core.records import Rollout, Stage, Variant, bucket

SPLITS: dict[Stage, Variant] = {"canary": "canary", "ab_test": "challenger"}  # stages with a share


def route(user_key: str, request_id: str, rollout: Rollout | None) -> Variant:
    """`canary` or, in an A/B test, `challenger` for the rollout's share of users (of requests where no
    user is named), else `champion`.

    The rollout's id salts the hash, so each rollout tries its candidate on other users; a growing
    share only ever moves users from the champion to the candidate.

    >>> route("cbae851becaadb26", "r1", None)
    'champion'
    """
    if rollout is None or rollout.stage not in SPLITS:
        return "champion"
    place = bucket(user_key or request_id, salt=rollout.rollout_id)
    return SPLITS[rollout.stage] if place < rollout.share else "champion"
