"""Estimates from a log that keeps a share of the requests are those of all traffic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.records.windows import Window
from everloop.laws.rows import row
from everloop.laws.windows import START, window
from monitoring.accuracy.shares import plain, weighted
from pipelines.curation.margin import Margin
from pipelines.curation.pool import Pool
from pipelines.logging.sample import Sample


def sampled(traffic: Window, policy: Sample, seed: int) -> Window:
    """What the policy keeps of a window whose requests are named anew."""
    ids = [f"{seed}/{i}" for i in range(len(traffic))]
    values = zip(ids, traffic.rows["confidence"], strict=True)
    kept = {p.request_id: p.propensity for p in policy.choose(
        [replace(row(0), request_id=r, confidence=s) for r, s in values])}  # fmt: skip
    rows = traffic.rows.assign(request_id=ids, kept=[kept.get(r, np.nan) for r in ids])
    named = replace(traffic, rows=rows)
    return named.take(rows["kept"].notna().to_numpy())


def test_accuracy_is_that_of_all_traffic_though_doubtful_answers_are_always_kept() -> None:
    """Confident answers are right more often, and one in five of them is kept: by count alone
    the model would look worse than it is."""
    traffic = window(2000)
    score = traffic.rows["confidence"].to_numpy()
    right = np.random.default_rng(1).random(2000) < score
    policy, curation = Sample(policy="sample", rate=0.2, below=0.6), Margin(policy="margin")
    of = dict(zip(traffic.rows["prediction_id"], right, strict=True))
    audit, ipw, naive, even = [], [], [], []
    for seed in range(250):
        kept = sampled(traffic, policy, seed)
        tasks = curation.pick(Pool(kept), 60, f"round {seed}", START)
        chance = dict(zip(kept.rows["prediction_id"], kept.kept, strict=True))
        audit.append(plain(np.array([of[t.prediction_id] for t in tasks if t.audit])).value)
        total = np.array([t.propensity * chance[t.prediction_id] for t in tasks])
        ipw.append(weighted(np.array([of[t.prediction_id] for t in tasks]), total).value)
        naive.append(np.mean([of[p] for p in kept.rows["prediction_id"]]))
        even.append(kept.even().rows["confidence"].mean())
    for estimates in (audit, ipw):
        assert abs(np.mean(estimates) - right.mean()) < 4 * np.std(estimates) / 250**0.5 + 0.005
    assert np.mean(naive) < right.mean() - 0.05
    assert abs(np.mean(even) - score.mean()) < 4 * np.std(even) / 250**0.5
