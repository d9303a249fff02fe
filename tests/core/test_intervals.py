"""One module has every interval: checked by hand, by an exact sum, and by drawing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from core.intervals import at_most, chance_of, paired_difference, share, unpaired_difference


def test_a_paired_difference_is_agresti_and_min() -> None:
    # b=8, c=2 of 40 by hand: (8.5 - 2.5) / 42 +- 1.959964 sqrt(11 - 36 / 42) / 42
    low, middle, high = paired_difference(8, 2, 40)
    assert (round(low, 4), middle, round(high, 4)) == (-0.0058, 0.15, 0.2915)
    assert paired_difference(0, 1, 3)[2] > 0


@pytest.mark.parametrize("rows", range(1, 6))
def test_a_handful_of_rows_is_never_certain(rows: int) -> None:
    """One row once gave "+1.000 (95 % CI +1.000..+1.000): better"."""
    for gained, lost in product(range(rows + 1), repeat=2):
        if gained + lost <= rows:
            low, middle, high = paired_difference(gained, lost, rows)
            assert -1 <= low <= middle <= high <= 1
            assert high - low > 0.25
    for hits in range(rows + 1):
        low, high = share(hits, rows)
        assert 0 <= low <= hits / rows <= high <= 1
        assert high - low > 0.4
        assert np.ptp(unpaired_difference((hits, rows), (0, rows))) > 0.4


@pytest.mark.parametrize(("p_gained", "p_lost"), [(0.02, 0.02), (0.1, 0.05), (0.0, 0.2)])
@pytest.mark.parametrize("rows", [20, 100, 300])
def test_paired_intervals_cover(rows: int, p_gained: float, p_lost: float) -> None:
    draw = np.random.default_rng(0).multinomial(rows, (p_gained, p_lost, 1 - p_gained - p_lost), 2000)
    found = [paired_difference(int(g), int(b), rows) for g, b, _ in draw]
    assert np.mean([low <= p_gained - p_lost <= high for low, _, high in found]) >= 0.92


def test_the_upper_limit_of_a_share_is_exact() -> None:
    assert at_most(0, 100, 0.975) == pytest.approx(1 - 0.025 ** (1 / 100))
    assert at_most(4, 4, 0.975) == 1.0
    assert at_most(60, 1000, 0.975) < at_most(6, 100, 0.975)


def test_a_fair_coin() -> None:
    assert (chance_of(0, 0), chance_of(0, 3), chance_of(3, 3)) == (1.0, 1.0, 1 / 8)
    assert chance_of(3000, 6000) == pytest.approx(0.505, abs=1e-3)


def test_effective_numbers_may_be_fractions() -> None:
    assert share(0.9 * 7.3, 7.3) == pytest.approx((0.538, 0.986), abs=1e-3)
