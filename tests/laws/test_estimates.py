"""Laws of estimated accuracy, on made streams whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from core import intervals
from core.arrays import Array
from monitoring.accuracy.answers import ScoredAnswers
from monitoring.accuracy.calibration import fit, prequential_chances
from monitoring.accuracy.powered import AccuracyEstimate, DrawnLabels, prediction_powered

N, LABELS, SEEDS = 2000, 60, 200
TRUTHFUL, FLAT, BOASTING = "truthful", "flat", "boasting"


def world(seed: int, kind: str) -> tuple[Array, Array, float]:
    """Chances (N,) of a predictor of this kind, what was right (N,), and the share that was."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 0.7, N)
    right = (rng.random(N) < chance).astype(float)
    said = {TRUTHFUL: chance, FLAT: np.full(N, 0.7), BOASTING: 1 - (1 - chance) * 0.2}[kind]
    return said, right, float(right.mean())


def drawn(seed: int, said: Array, how: str) -> tuple[Array, Array, Array]:
    """(n,) places and (n,) chances of labels, and which are for audit (Poisson sampling): even ones;
    more where the chance is low; or as the shipped curation, a few even ones and all the most doubtful.
    """
    rng = np.random.default_rng([seed, 1])
    audit = rng.random(N) < 14 / N
    even, sure = np.full(N, (LABELS - 14) / N), np.where(np.argsort(np.argsort(said)) < 200, 0.99, 2e-3)
    worth = np.minimum(1, 1.2 - said)
    picked = {"even": even, "picked": worth * (LABELS - 14) / worth.sum(), "shipped": sure}[how]
    chance = 14 / N + (1 - 14 / N) * picked
    at = np.flatnonzero(audit | (rng.random(N) < picked))
    return at, chance[at], audit[at]


def asked(seed: int, kind: str, how: str) -> tuple[AccuracyEstimate, DrawnLabels, float]:
    said, right, truth = world(seed, kind)
    order = said if kind != FLAT else world(seed, TRUTHFUL)[0]
    at, chance, audit = drawn(seed, order, how)
    labels = DrawnLabels(right[at], said[at], chance, audit)
    return prediction_powered(labels, np.delete(said, at), N), labels, truth


def few(right: Array, said: float = 0.9, answers: float = 10_000) -> AccuracyEstimate:
    """Of labels drawn evenly, all of them for audit."""
    n = len(right)
    labels = DrawnLabels(right, np.full(n, said), np.full(n, n / answers), np.ones(n, dtype=bool))
    return prediction_powered(labels, np.full(100, said), answers)


kinds = pytest.mark.parametrize("kind", [TRUTHFUL, FLAT, BOASTING])
draws = pytest.mark.parametrize("how", ["even", "picked", "shipped"])


@kinds
@draws
def test_unbiased_and_covered_and_never_wider_than_the_audit_labels(kind: str, how: str) -> None:
    errors, covered, wider, ratio = [], [], 0, []
    for seed in range(SEEDS):
        found, labels, truth = asked(seed, kind, how)
        errors.append(found.value - truth)
        covered.append(found.low <= truth <= found.high)
        audit = labels.right[labels.audit]
        alone = np.ptp(intervals.share(float(audit.sum()), len(audit)))
        wider += found.high - found.low > alone + 1e-9
        ratio.append((found.high - found.low) / alone)
        assert 0 <= found.low <= found.value <= found.high <= 1
    assert abs(np.mean(errors)) <= 3 * np.std(errors) / np.sqrt(SEEDS) + 0.003
    assert np.mean(covered) >= 0.93
    assert wider == 0
    assert np.mean(ratio) < 0.99


@pytest.mark.parametrize("even", [3, 5, 9])
def test_never_wider_than_the_audit_labels_however_few_they_are(even: int) -> None:
    for hits in range(even + 1):
        right = np.repeat([1.0, 0.0], [hits, even - hits])
        found, alone = few(right), intervals.share(hits, even)
        assert found.high - found.low <= alone[1] - alone[0] + 1e-9
        assert found.value == pytest.approx(hits / even, abs=1e-3)


def test_labels_picked_where_it_matters_say_more_than_even_ones() -> None:
    off = {}
    for how in ("even", "picked"):
        found = [asked(seed, TRUTHFUL, how) for seed in range(SEEDS)]
        off[how] = np.mean([(f.value - truth) ** 2 for f, _, truth in found])
    assert off["picked"] < off["even"]


def test_chances_that_say_nothing_cost_nothing() -> None:
    share, right = 0.8, np.repeat([1.0, 0.0], [48, 12])
    low, high = intervals.share(48, 60)
    found = few(right, said=0.7)
    assert found.value == pytest.approx(share, abs=1e-3)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)


def test_chances_that_say_the_opposite_are_not_trusted() -> None:
    said, right, truth = world(0, TRUTHFUL)
    at, chance, audit = drawn(0, said, "even")
    found = prediction_powered(
        DrawnLabels(right[at], 1 - said[at], chance, audit), 1 - np.delete(said, at), N
    )
    assert found.trust == 0.0
    assert found.low < truth < found.high


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_labels_that_all_agree_leave_room_for_others(share: float) -> None:
    found = few(np.full(20, share))
    assert found.value == pytest.approx(share, abs=1e-3)
    assert found.high - found.low > 0.13


def test_where_errors_are_rare_neither_side_is_missed_more_often_than_the_other() -> None:
    """Ninety-five of a hundred are right: value +- 2 standard errors misses low shares far more often."""
    above, below = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        chance = rng.beta(9, 0.5, N)
        right = (rng.random(N) < chance).astype(float)
        at, p, audit = drawn(seed, chance, "even")
        found = prediction_powered(
            DrawnLabels(right[at], chance[at], p, audit), np.delete(chance, at), N
        )
        above.append(right.mean() < found.low)
        below.append(right.mean() > found.high)
    assert max(np.mean(above), np.mean(below)) <= 0.05
    assert np.mean(above) + np.mean(below) <= 0.07


def test_one_label_is_answered_with_nearly_everything() -> None:
    found = few(np.ones(1))
    assert found.low < 0.5
    assert found.high == 1.0


def test_where_every_answer_has_a_label_the_share_is_theirs() -> None:
    said, right, truth = world(0, TRUTHFUL)
    found = prediction_powered(
        DrawnLabels(right, said, np.ones(N), np.zeros(N, dtype=bool)), np.zeros(0), N
    )
    assert (found.value, found.low, found.high) == pytest.approx((truth, truth, truth))


def test_what_was_certain_to_be_picked_speaks_for_itself_alone() -> None:
    """A hundred wrong ones that were all picked, beside nine hundred of which nine tenths are right."""
    right = np.concatenate([np.zeros(100), np.ones(9), np.zeros(1)])
    chance = np.concatenate([np.ones(100), np.full(10, 10 / 900)])
    labels = DrawnLabels(right, np.full(110, 0.8), chance, chance < 1)
    found = prediction_powered(labels, np.full(890, 0.8), 1000)
    assert found.value == pytest.approx((9 + 890 * 0.9) / 1000, abs=1e-6)
    assert labels.worth == pytest.approx(10)


def answers(
    seed: int, n: int, days: int = 20, overconfident: float = 1.0
) -> tuple[ScoredAnswers, Array]:
    """Answers of two topics in an embedding of 4 numbers, and the chance that each is right."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(2, 1.5, n)
    topic = rng.integers(0, 2, n)
    chance = 1 / (1 + np.exp(-(odds - 3.0 * topic) / overconfident))
    score = 1 / (1 + np.exp(-odds))
    rows = np.eye(2, 4)[topic] + rng.normal(0, 0.05, (n, 4))
    made = ScoredAnswers(
        days=np.sort(rng.uniform(0, days, n)),
        shares=np.column_stack([score, (1 - score) / 2]),
        embeddings=(rows / np.linalg.norm(rows, axis=1)[:, None]).astype(np.float32),
        right=(rng.random(n) < chance).astype(float),
        chance=np.full(n, 0.1),
        audit=np.ones(n, dtype=bool),
        version=np.full(n, "1"),
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
    picked = ScoredAnswers(**{**vars(every.take(at)), "chance": worth[at]})
    others, chance = answers(5, 4000, overconfident=2.0)
    assert fit(picked).chances(others).mean() == pytest.approx(chance.mean(), abs=0.02)


def test_no_label_of_a_day_or_later_is_in_what_is_said_of_that_day() -> None:
    labelled, _ = answers(6, 200)
    others, _ = answers(7, 500)
    flipped = ScoredAnswers(
        **{**vars(labelled), "right": np.where(labelled.days >= 10, 1 - labelled.right, labelled.right)}
    )
    before, after = prequential_chances(labelled, others), prequential_chances(flipped, others)
    same = np.floor(others.days) <= 10
    assert np.array_equal(before[same], after[same])
    assert not np.array_equal(before[~same], after[~same])


def test_no_answer_is_asked_about_with_its_own_label() -> None:
    labelled, _ = answers(8, 200)
    one_day = ScoredAnswers(**{**vars(labelled), "days": np.full(200, 3.0)})
    assert np.array_equal(
        prequential_chances(one_day, one_day),
        fit(one_day.take(np.zeros(0, dtype=int))).chances(one_day),
    )
