"""Laws of anytime-valid statistics, on many seeded streams that are looked at after every number."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from core.records import Array
from core.sequences import evidence, interval

SEEDS = 400
ALPHA = 0.05


def flips(mean: float, t: int = 300) -> Array:
    return (np.random.default_rng(7).random((SEEDS, t)) < mean).astype(float)


def betas(mean: float, t: int = 300) -> Array:
    return np.random.default_rng(8).beta(5 * mean, 5 * (1 - mean), (SEEDS, t))


@pytest.mark.parametrize("mean", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("streams", [flips, betas])
def test_a_true_bound_is_refuted_at_any_time_in_at_most_alpha_of_streams(streams, mean):
    ever = [evidence(x, mean).max() >= 1 / ALPHA for x in streams(mean)]
    assert np.mean(ever) <= ALPHA


def test_the_bound_may_hold_for_means_that_move_below_it():
    x = np.concatenate([flips(0.1, 150), flips(0.2, 150)], axis=1)
    assert np.mean([evidence(row, 0.2).max() >= 1 / ALPHA for row in x]) <= ALPHA


def test_nobody_expects_to_gain_on_a_true_bound():
    """Exactly: over all 1,024 ways in which ten flips can come."""
    for mean in (0.1, 0.3, 0.8):
        ways = np.array(list(product((0.0, 1.0), repeat=10)))
        chance = np.prod(np.where(ways == 1, mean, 1 - mean), axis=1)
        assert chance @ [evidence(x, mean)[-1] for x in ways] == pytest.approx(1.0)


@pytest.mark.parametrize("mean", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("streams", [flips, betas])
def test_the_interval_covers_the_mean_at_every_time(streams, mean):
    missed = 0
    for x in streams(mean, 150)[:60]:
        low, high = interval(x, ALPHA)  # it is a running intersection: the last one is within all
        missed += not low <= mean <= high
    assert missed / 60 <= ALPHA


def test_evidence_grows_against_a_bound_that_is_false():
    days = [int(np.argmax(evidence(x, 0.1) >= 1 / ALPHA)) for x in flips(0.3)]
    found = [evidence(x, 0.1)[-1] >= 1 / ALPHA for x in flips(0.3)]
    assert np.mean(found) == 1.0
    assert np.median(days) <= 40


def test_evidence_falls_as_the_bound_rises_and_knows_no_future():
    x = flips(0.4, 200)[0]
    values = [evidence(x, m) for m in (0.2, 0.3, 0.4, 0.5)]
    assert all((a >= b).all() for a, b in pairwise(values))
    assert np.array_equal(evidence(x[:50], 0.3), evidence(x, 0.3)[:50])


def test_the_interval_narrows_with_numbers_and_mirrors():
    x = flips(0.8, 300)[0]
    widths = [np.ptp(interval(x[:n])) for n in (0, 10, 50, 300)]
    assert widths[0] == 1.0
    assert widths == sorted(widths, reverse=True)
    low, high = interval(x)
    assert interval(1 - x) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    assert np.ptp(interval(x, 0.2)) < np.ptp(interval(x, 0.05))


def test_numbers_that_vary_little_give_a_narrower_interval():
    assert np.ptp(interval(betas(0.5)[0])) < np.ptp(interval(flips(0.5)[0]))


def test_one_order_of_the_same_numbers_is_as_good_as_another_at_the_end():
    x = flips(0.3, 100)[0]
    assert evidence(x, 0.2)[-1] == pytest.approx(evidence(x[::-1].copy(), 0.2)[-1])


@pytest.mark.parametrize("x", [[0.5, 1.1], [-0.1], [float("nan")], [[0.1], [0.2]]])
def test_numbers_outside_are_refused(x):
    with pytest.raises(ValueError, match=r"numbers in 0\.\.1 are needed, in one row"):
        evidence(np.array(x), 0.5)


def test_no_numbers_say_nothing():
    assert len(evidence(np.zeros(0), 0.5)) == 0
    assert interval(np.zeros(0)) == (0.0, 1.0)


@pytest.mark.parametrize("bound", [0.0, 1.0, -1.0, 2.0])
def test_a_bound_that_says_nothing_is_refused(bound):
    with pytest.raises(ValueError, match="a mean in"):
        evidence(np.ones(3), bound)
