"""Laws of estimated accuracy, on made streams whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from core import intervals
from core.records import Array
from monitoring.accuracy import weighted
from monitoring.estimates.answers import Answers
from monitoring.estimates.calibration import fit
from monitoring.estimates.powered import chained, rectified
from monitoring.estimates.weighted import balanced, spread_of

N, LABELS, SEEDS = 2000, 60, 200
TRUTHFUL, FLAT, BOASTING = "truthful", "flat", "boasting"


def world(seed: int, kind: str) -> tuple[Array, Array, float]:
    """Chances (N,) of a predictor of this kind, what was right (N,), and the share that was."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 0.7, N)
    right = (rng.random(N) < chance).astype(float)
    said = {TRUTHFUL: chance, FLAT: np.full(N, 0.7), BOASTING: 1 - (1 - chance) * 0.2}[kind]
    return said, right, float(right.mean())


def drawn(seed: int, said: Array, even: bool) -> tuple[Array, Array]:
    """Places and chances of labels: even ones, or more where the chance is low (Poisson sampling)."""
    rng = np.random.default_rng([seed, 1])
    worth = np.ones(N) if even else np.minimum(1, 1.2 - said)
    chance = worth * LABELS / worth.sum()
    at = np.flatnonzero(rng.random(N) < chance)
    return at, chance[at]


kinds = pytest.mark.parametrize("kind", [TRUTHFUL, FLAT, BOASTING])
draws = pytest.mark.parametrize("even", [True, False], ids=["even", "picked"])


@kinds
@draws
def test_unbiased_and_covered_whatever_the_chances_are_worth(kind: str, even: bool) -> None:
    errors, covered, always, widths, plain = [], [], [], [], []
    for seed in range(SEEDS):
        said, right, truth = world(seed, kind)
        at, chance = drawn(seed, said, even)
        found = rectified(said, right[at], said[at], chance)
        errors.append(found.value - truth)
        covered.append(found.once[0] <= truth <= found.once[1])
        always.append(found.low <= truth <= found.high)
        widths.append(found.once[1] - found.once[0])
        low, high = intervals.share(right[at].sum(), len(at))
        plain.append(high - low)
    assert abs(np.mean(errors)) <= 3 * np.std(errors) / np.sqrt(SEEDS) + 0.003
    assert np.mean(covered) >= 0.93
    assert np.mean(always) >= 0.98
    if kind == TRUTHFUL and even:
        assert np.mean(widths) < 0.92 * np.mean(plain)


def test_labels_picked_where_it_matters_say_more_than_even_ones() -> None:
    off = {}
    for even in (True, False):
        found = []
        for seed in range(SEEDS):
            said, right, truth = world(seed, TRUTHFUL)
            at, chance = drawn(seed, said, even)
            found.append(rectified(said, right[at], said[at], chance).value - truth)
        off[even] = np.mean(np.square(found))
    assert off[False] < off[True]


def test_chances_that_say_nothing_cost_nothing() -> None:
    said, right, _ = world(0, FLAT)
    found = rectified(said, right[:LABELS], said[:LABELS], np.full(LABELS, LABELS / N))
    share = float(right[:LABELS].mean())
    assert found.value == pytest.approx(share)
    assert np.ptp(found.once) == pytest.approx(
        np.ptp(intervals.share(share * LABELS, LABELS)), rel=0.02
    )


def test_chances_that_say_the_opposite_are_not_trusted() -> None:
    said, right, truth = world(0, TRUTHFUL)
    found = rectified(1 - said, right[:LABELS], 1 - said[:LABELS], np.full(LABELS, LABELS / N))
    assert found.trust == 0.0
    assert found.once[0] < truth < found.once[1]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_labels_that_all_agree_leave_room_for_others(share: float) -> None:
    few = np.full(20, 0.01)
    found = rectified(np.full(100, 0.9), np.full(20, share), np.full(20, 0.9), few)
    assert found.value == share
    assert np.ptp(found.once) > 0.13
    assert np.ptp([found.low, found.high]) > np.ptp(found.once)


def test_where_errors_are_rare_neither_side_is_missed_more_often_than_the_other() -> None:
    """Ninety-five of a hundred are right: value +- 2 standard errors misses low shares far more often."""
    above, below = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        chance = rng.beta(9, 0.5, N)
        right = (rng.random(N) < chance).astype(float)
        at = rng.choice(N, LABELS, replace=False)
        low, high = rectified(chance, right[at], chance[at], np.full(LABELS, LABELS / N)).once
        above.append(right.mean() < low)
        below.append(right.mean() > high)
    assert max(np.mean(above), np.mean(below)) <= 0.05
    assert np.mean(above) + np.mean(below) <= 0.07


def test_one_label_is_answered_with_nearly_everything() -> None:
    found = rectified(np.full(100, 0.9), np.ones(1), np.full(1, 0.9), np.full(1, 0.01))
    assert found.once[0] < 0.5
    assert found.high == 1.0


def test_where_every_answer_has_a_label_the_share_is_theirs() -> None:
    said, right, truth = world(0, TRUTHFUL)
    assert rectified(said, right, said, np.ones(N)).value == pytest.approx(truth)
    found = balanced(right, np.ones(N), N, 0.0)
    assert (found.value, found.low, found.high) == pytest.approx((truth, truth, truth))


def daily(seed: int, wrong_where_sure: float) -> tuple[Array, Array, Array]:
    """200 answers, 150 of them sure and seldom picked: (right, chance of a label, picked) of each."""
    rng = np.random.default_rng(seed)
    sure = np.arange(200) < 150
    right = (rng.random(200) > np.where(sure, wrong_where_sure, 0.6)).astype(float)
    chance = np.where(sure, 0.012, 0.36)
    return right, chance, rng.random(200) < chance


@pytest.mark.parametrize("wrong", [0.02, 0.2, 0.5])
def test_a_day_of_picks_is_covered_also_where_by_luck_no_sure_answer_was_picked(wrong: float) -> None:
    """Kish's number of labels says of such a day that it is worth most."""
    covered, naive = [], []
    for seed in range(SEEDS):
        made = [daily(100 * seed + day, wrong) for day in range(14)]
        before = np.concatenate([chance[picked] for _, chance, picked in made])
        right, chance, picked = made[-1]
        found = balanced(right[picked], chance[picked], 200, spread_of(before, 14 * 200))
        covered.append(found.low <= right.mean() <= found.high)
        kish = weighted(right[picked] == 1, chance[picked])
        naive.append(kish.low <= right.mean() <= kish.high)
    assert np.mean(covered) >= 0.93
    if wrong < 0.1:
        assert np.mean(naive) < 0.9


def test_even_picks_weighed_are_wilsons_interval() -> None:
    chance = np.full(20, 0.001)
    found = balanced(np.repeat([1.0, 0.0], [17, 3]), chance, 20_000, spread_of(chance, 20_000))
    assert (found.low, found.high) == pytest.approx(intervals.share(17, 20), abs=1e-3)
    assert found.effective == pytest.approx(20, rel=0.01)


@pytest.mark.parametrize("looks", [[20, 40, 80, 160, 320]])
def test_the_interval_holds_for_all_looks_and_that_for_one_does_not(looks: list[int]) -> None:
    ever = np.zeros((SEEDS // 2, 2), dtype=bool)
    for seed in range(SEEDS // 2):
        right = (np.random.default_rng(seed).random(max(looks)) < 0.8).astype(float)
        said = np.full(2, 0.5)
        for n in looks:
            found = rectified(said, right[:n], np.full(n, 0.5), np.full(n, 1e-3))
            ever[seed] |= [
                not found.low <= 0.8 <= found.high,
                not found.once[0] <= 0.8 <= found.once[1],
            ]
    assert ever[:, 0].mean() <= 0.05
    assert ever[:, 1].mean() > 0.07


def answers(seed: int, n: int, days: int = 20, overconfident: float = 1.0) -> tuple[Answers, Array]:
    """Answers of two topics in an embedding of 4 numbers, and the chance that each is right."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(2, 1.5, n)
    topic = rng.integers(0, 2, n)
    chance = 1 / (1 + np.exp(-(odds - 3.0 * topic) / overconfident))
    score = 1 / (1 + np.exp(-odds))
    rows = np.eye(2, 4)[topic] + rng.normal(0, 0.05, (n, 4))
    made = Answers(
        days=np.sort(rng.uniform(0, days, n)),
        shares=np.column_stack([score, (1 - score) / 2]),
        embeddings=(rows / np.linalg.norm(rows, axis=1)[:, None]).astype(np.float32),
        right=(rng.random(n) < chance).astype(float),
        chance=np.full(n, 0.1),
        audit=np.ones(n, dtype=bool),
    )
    return made, chance


def test_without_labels_the_confidence_is_the_chance() -> None:
    some, _ = answers(0, 50)
    none = some.take(np.zeros(0, dtype=int))
    assert fit(none).chances(some) == pytest.approx(some.shares[:, 0], abs=1e-3)


def test_neighbours_tell_a_topic_that_the_model_is_wrong_about() -> None:
    """Confidence is the same in both topics, and in one of them it means nothing."""
    labelled, _ = answers(1, 400)
    others, chance = answers(2, 2000)
    said = fit(labelled).chances(others)
    assert np.abs(said - chance).mean() < 0.06
    assert np.abs(others.shares[:, 0] - chance).mean() > 0.15
    topic = others.embeddings[:, 1] > 0.5
    for part in (topic, ~topic):
        assert said[part].mean() == pytest.approx(chance[part].mean(), abs=0.08)


def test_labels_picked_among_the_unsure_calibrate_by_their_chance_of_a_label() -> None:
    """Unweighted, a sample of mostly unsure rows would be fitted where few answers are."""
    every, _ = answers(3, 6000, overconfident=2.0)
    worth = np.clip(1.1 - every.shares[:, 0], 0.02, 1)
    at = np.random.default_rng(4).random(len(worth)) < worth
    picked = Answers(**{**vars(every.take(at)), "chance": worth[at]})
    others, chance = answers(5, 4000, overconfident=2.0)
    assert fit(picked).chances(others).mean() == pytest.approx(chance.mean(), abs=0.02)


def test_no_label_of_a_day_or_later_is_in_what_is_said_of_that_day() -> None:
    labelled, _ = answers(6, 200)
    others, _ = answers(7, 500)
    flipped = Answers(
        **{**vars(labelled), "right": np.where(labelled.days >= 10, 1 - labelled.right, labelled.right)}
    )
    before, after = chained(labelled, others), chained(flipped, others)
    same = np.floor(others.days) <= 10
    assert np.array_equal(before[1][same], after[1][same])
    assert not np.array_equal(before[1][~same], after[1][~same])
    assert np.array_equal(before[0][labelled.days < 11], after[0][labelled.days < 11])
