from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.errors import RolloutError
from core.records.rollouts import Rollout
from everloop.laws.windows import scored
from pipelines.rollout import promote, roll_back
from pipelines.rollout.compare import compare
from pipelines.rollout.shadow_canary import ShadowCanary

NOW = datetime(2026, 1, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
POLICY = ShadowCanary(policy="shadow-canary")
LABELS = [f"intent{k}" for k in range(10)]
COLUMNS = ["request_id", "model_version", "variant", "output", "confidence", "latency_ms", "truth"]


def answers(
    new: list[str],
    old: list[str],
    truth: list[str | None] | None = None,
    scores: tuple[float, float] = (0.7, 0.7),
) -> pd.DataFrame:
    """What the store says of requests that version 7 (new) and version 6 (old) both scored."""
    rows = []
    for i, (a, b) in enumerate(zip(new, old, strict=True)):
        known = truth[i] if truth else None
        rows.append((f"r{i}", "6", "champion", b, scores[1], 1.0, known))
        rows.append((f"r{i}", "7", "shadow", a, scores[0], 1.0, known))
    return scored(pd.DataFrame(rows, columns=COLUMNS))


def truths(n: int, seed: int = 0) -> list[str]:
    return [str(x) for x in np.random.default_rng(seed).choice(LABELS, n)]


def guesses(truth: list[str], accuracy: float, seed: int) -> list[str]:
    """Answers right with this chance, and else the next label."""
    right = np.random.default_rng(seed).random(len(truth)) < accuracy
    after = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    return [t if ok else after[t] for t, ok in zip(truth, right, strict=True)]


def start() -> Rollout:
    return POLICY.start("7", "6", NOW, "v0003")


def canary() -> Rollout:
    return replace(start(), stage="canary", share=0.25)


def test_starts_in_the_shadow_under_an_id_that_repeats() -> None:
    rollout = start()
    assert (rollout.stage, rollout.share, rollout.live) == ("shadow", 0.0, True)
    assert rollout.rollout_id == POLICY.start("7", "6", LATER, "v0003").rollout_id
    assert rollout.rollout_id != POLICY.start("7", "6", NOW, "v0004").rollout_id
    with pytest.raises(RolloutError, match="the candidate is the champion already"):
        POLICY.start("6", "6", NOW, "v0003")


def test_no_traffic_waits_however_late_it_is() -> None:
    empty = answers([], [])
    rollout, decision = POLICY.advance(start(), empty, NOW + timedelta(days=9))
    assert rollout == start()
    assert decision.verdict == "wait"
    assert decision.reason == "shadow -> wait: 0 of 25 requests scored by both"


def test_too_few_requests_wait_and_then_decide_on_what_there_is() -> None:
    few = answers(truths(12), truths(12, 1), None, (0.4, 0.7))
    rollout, decision = POLICY.advance(start(), few, LATER)
    assert (rollout, decision.verdict) == (start(), "wait")
    assert decision.reason == "shadow -> wait: 12 of 25 requests scored by both"
    rollout, decision = POLICY.advance(start(), few, NOW + timedelta(hours=24))
    assert (rollout.stage, decision.verdict) == ("canary", "advance")


def test_a_candidate_that_answers_nobody_is_rolled_back_when_the_stage_is_old() -> None:
    alone = answers(truths(30), truths(30)).query("model_version == '6'")
    assert POLICY.advance(start(), alone, LATER)[1].verdict == "wait"
    rollout, decision = POLICY.advance(start(), alone, NOW + timedelta(hours=24))
    assert rollout.stage == "rolled_back"
    assert decision.reason == "shadow -> rollback: the candidate scored none of 30 requests"


def test_an_identical_candidate_is_promoted_step_by_step() -> None:
    policy = ShadowCanary(policy="shadow-canary", shares=[0.05, 0.25])
    rollout, seen, verdicts = policy.start("7", "6", NOW, "k"), [], []
    same = answers(truths(30), truths(30), list(truths(30)))
    while rollout.live:
        rollout, decision = policy.advance(rollout, same, rollout.stage_started + timedelta(hours=3))
        seen.append((rollout.stage, rollout.share))
        verdicts.append(decision.verdict)
    assert seen == [("canary", 0.05), ("canary", 0.25), ("promoted", 1.0)]
    assert verdicts == ["advance", "advance", "promote"]
    assert rollout.stage_started == NOW + timedelta(hours=9)
    assert rollout.reason == decision.reason


def test_a_good_candidate_is_promoted_in_words_with_numbers() -> None:
    truth = truths(31)
    new, old = list(truth), [*guesses(truth[:2], 0.0, 1), *truth[2:]]
    known = [*truth[:4], *[None] * 27]
    rollout, decision = POLICY.advance(canary(), answers(new, old, known, (0.71, 0.69)), LATER)
    assert rollout.stage == "promoted"
    assert decision.reason == (
        "canary 25 % -> promote: 31 requests scored by both, agree 0.94, confidence 0.71 vs 0.69, "
        "accuracy on 4 labels 1.00 vs 0.50"
    )
    assert decision.key == f"rollout/{rollout.rollout_id}/canary/0.25"
    assert decision.evidence.stored()["accuracy"] == [1.0, 0.5]
    assert (decision.timestamp, decision.stage, decision.severity) == (LATER, "rollout", "info")


@pytest.mark.parametrize("seed", range(20))
def test_a_good_candidate_is_never_rolled_back_on_a_day_of_labels(seed: int) -> None:
    truth = truths(200, seed)
    frame = answers(guesses(truth, 0.9, seed), guesses(truth, 0.8, seed + 100), list(truth))
    assert POLICY.advance(canary(), frame, LATER)[0].stage == "promoted"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("score", [0.1, 0.99])
def test_a_random_head_is_rolled_back_modest_or_sure_of_itself(seed: int, score: float) -> None:
    truth = truths(100, seed)
    random = [f"intent{k}" for k in np.random.default_rng(seed).integers(0, 150, 100)]
    frame = answers(random, guesses(truth, 0.8, seed), None, (score, 0.7))
    assert POLICY.advance(start(), frame, LATER)[0].stage == "rolled_back"


def test_worse_accuracy_rolls_back_and_says_by_how_much() -> None:
    truth = truths(40)
    new = [*guesses(truth[:12], 0.0, 1), *truth[12:]]
    rollout, decision = POLICY.advance(canary(), answers(new, truth, list(truth)), LATER)
    assert (rollout.stage, rollout.share) == ("rolled_back", 0.0)
    assert decision.severity == "warning"
    assert decision.reason == (
        "canary 25 % -> rollback: accuracy is worse by 0.30 (95 % CI -0.43..-0.14, tolerance 0.02); "
        "40 requests scored by both, agree 0.70, confidence 0.70 vs 0.70, "
        "accuracy on 40 labels 0.70 vs 1.00"
    )


@pytest.mark.parametrize(
    ("lost", "labels", "verdict"),
    [(1, 3, "promote"), (2, 3, "promote"), (3, 5, "promote"), (5, 5, "rollback")],
)
def test_a_few_labels_decide_only_when_nearly_all_agree(lost: int, labels: int, verdict: str) -> None:
    truth = truths(40)
    new = [*guesses(truth[:lost], 0.0, 1), *truth[lost:]]
    known = [*truth[:labels], *[None] * (40 - labels)]
    assert POLICY.advance(canary(), answers(new, truth, known), LATER)[1].verdict == verdict


def test_lost_confidence_rolls_back_without_labels() -> None:
    same = truths(40)
    _, decision = POLICY.advance(start(), answers(same, same, None, (0.5, 0.7)), LATER)
    assert decision.reason.startswith("shadow -> rollback: confidence fell by 0.20, at most 0.15")
    assert POLICY.advance(start(), answers(same, same, None, (0.6, 0.7)), LATER)[1].verdict == "advance"


def test_one_label_for_everything_rolls_back() -> None:
    _, decision = POLICY.advance(start(), answers(["intent0"] * 100, truths(100)), LATER)
    assert decision.verdict == "rollback"
    assert "one label is 100% of its answers" in decision.reason
    flood = ["intent0"] * 100
    assert POLICY.advance(start(), answers(flood, flood), LATER)[1].verdict == "advance"


def test_labels_that_prove_it_better_outweigh_the_proxies() -> None:
    truth = ["intent0"] * 60
    frame = answers(truth, truths(60), list(truth), (0.4, 0.9))
    assert POLICY.advance(canary(), frame, LATER)[1].verdict == "promote"


def test_looking_twice_gives_the_same_and_changes_nothing() -> None:
    frame = answers(truths(40), truths(40, 1), list(truths(40)))
    before = frame.copy()
    assert POLICY.advance(start(), frame, LATER) == POLICY.advance(start(), frame, LATER)
    pd.testing.assert_frame_equal(frame, before)
    shuffled = frame.sample(frac=1, random_state=0)
    assert POLICY.advance(start(), shuffled, LATER) == POLICY.advance(start(), frame, LATER)


def test_evidence_is_json_even_where_nothing_is_known() -> None:
    decision = POLICY.advance(start(), answers([], []), LATER)[1]
    text = json.dumps(decision.evidence.stored(), allow_nan=False)
    assert json.loads(text)["confidence"] == [None, None]


def test_only_requests_that_both_scored_are_compared() -> None:
    frame = answers(truths(40), truths(40))
    other = frame.assign(model_version="5", output="intent0")
    seen = compare(pd.concat([frame.iloc[:-1], other]), "7", "6")
    assert (seen.requests, seen.pairs, seen.agree) == (40, 39, 1.0)


def test_by_hand_only_while_it_is_live() -> None:
    rollout, decision = promote(start(), LATER, "release night")
    assert (rollout.stage, rollout.share) == ("promoted", 1.0)
    assert decision.reason == "shadow -> promote: by hand, release night"
    for again in (promote, roll_back):
        with pytest.raises(RolloutError, match=r"this rollout is over\n.*\n.*got: +promoted: shadow"):
            again(rollout, LATER, "again")
    with pytest.raises(RolloutError, match="this rollout is over"):
        POLICY.advance(rollout, answers([], []), LATER)
    assert roll_back(canary(), LATER, "complaints")[0].stage == "rolled_back"


@pytest.mark.parametrize("shares", [[0.5, 0.25], [0.0], [1.0], [0.2, 0.2], [float("nan")]])
def test_shares_must_grow_between_0_and_1(shares: list[float]) -> None:
    with pytest.raises(ValidationError, match="growing shares between 0 and 1"):
        ShadowCanary(policy="shadow-canary", shares=shares)


def test_without_canary_steps_the_shadow_promotes() -> None:
    policy = ShadowCanary(policy="shadow-canary", shares=[])
    assert policy.advance(start(), answers(truths(30), truths(30)), LATER)[0].stage == "promoted"
