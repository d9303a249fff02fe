"""What the store says of a rollout's two models: made, seeded, as good or bad as asked."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from core.ids import hash_user
from everloop.laws.windows import scored
from pipelines.rollout.promotion import begin
from serving.router import route

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def answers(
    seed: int,
    right: tuple[float, float] = (0.8, 0.8),
    complain: tuple[float, float] = (0.1, 0.1),
    users: int = 600,
    labels: int = 300,
) -> pd.DataFrame:
    """What the store says of requests of so many users, one each: (new, old) are right, and complained
    of, with these chances; each model errs by itself."""
    random, rollout = np.random.default_rng(seed), begin(("7", "6"), NOW, "v0003", "ab_test", 0.5)
    keys = [hash_user(f"{seed}-{i}") for i in range(users)]
    new_answers = np.array([route(k, "", rollout) == "challenger" for k in keys])
    truth = [*["a"] * labels, *[None] * (users - labels)][:users]
    sides = []
    for version, chance, said, sent in zip(
        ("7", "6"), right, complain, (new_answers, ~new_answers), strict=True
    ):
        side = {
            "request_id": [f"r{i}" for i in range(users)],
            "model_version": version,
            "variant": np.where(sent, "challenger" if version == "7" else "champion", "shadow"),
            "output": np.where(random.random(users) < chance, "a", "b"),
            "confidence": 0.7,
            "latency_ms": 1.0,
            "user_key": keys,
            "truth": truth,
            "complained": sent & (random.random(users) < said),
        }
        sides.append(scored(pd.DataFrame(side)))
    return pd.concat(sides, ignore_index=True)
