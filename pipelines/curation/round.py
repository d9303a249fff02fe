"""One curation round: three independent draws, and the chance of a label that follows from them.

    audit    uniform over all traffic; near-copies are walked side by side
    test     uniform over all traffic, for a trigger's test
    policy   chance by worth, one row of near-copies, kept apart; what the audit hit is left out

With chances a, t and c, in a unit of near-copies whose a sum to A (at most 1), a row gets a label with

    a + (1 - A) (1 - (1 - c) (1 - t)) + (A - a) t

exactly, since the three draws are independent and the audit misses a unit with chance 1 - A.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np

from core.arrays import Array
from pipelines.curation.draw import inclusion, pivotal, systematic
from pipelines.curation.order import apart
from pipelines.curation.pool import Pool


@dataclass(frozen=True)
class Sizes:
    """How many labels each draw of a round gets."""

    audit: int
    more: float  # chance of one more for the audit, which the policy then lacks
    test: int
    policy: int

    @staticmethod
    def of(budget: int, audit_share: float, for_test: int) -> Sizes:
        """
        >>> Sizes.of(20, 0.1, 50), Sizes.of(1, 0.1, 0)
        (Sizes(audit=2, more=0.0, test=18, policy=0), Sizes(audit=0, more=0.1, test=0, policy=1))
        """
        expected = round(budget * audit_share, 9)
        audit = floor(expected)
        more = round(expected - audit, 9)
        test = max(0, min(for_test, budget - audit - (more > 0)))
        return Sizes(audit, more, test, budget - audit - test)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What came of a round."""

    rows: Array  # (k,) positions, ascending
    chances: Array  # (k,) that a row like this gets a label in this round
    audit: Array  # (k,) bool
    test: Array  # (k,) bool


def draw(pool: Pool, sizes: Sizes, chance: Array, space: Array, rng: np.random.Generator) -> Drawn:
    """The round with these chances (n,) for the policy's part, its picks apart in `space` (n, k)."""
    more = bool(rng.random() < sizes.more)
    stands = 1 / pool.window.kept
    audit = systematic(inclusion(stands, sizes.audit + more), rng, pool.units)
    test = systematic(inclusion(stands, sizes.test), rng) if sizes.test else np.array([], dtype=int)
    picked = _apart(pool, chance, space, rng)
    if more and len(picked) == sizes.policy:
        picked = np.delete(picked, rng.integers(len(picked)))
    hit = np.zeros(len(pool), dtype=bool)
    hit[pool.units[audit]] = True
    picked = picked[~hit[pool.units[picked]]]
    rows = np.unique(np.concatenate([audit, test, picked]))
    chances = _labelled(pool, sizes, chance, rows)
    is_audit = np.isin(rows, audit)
    return Drawn(rows, chances, is_audit, np.isin(rows, test) & ~is_audit)


def _apart(pool: Pool, chance: Array, space: Array, rng: np.random.Generator) -> Array:
    """One row of each unit that the policy's draw takes."""
    of_unit = np.minimum(np.bincount(pool.units, chance), 1.0)
    first = pool.leaders
    taken = pivotal(of_unit, apart(space[first], of_unit), rng)
    if len(first) == len(pool):
        return np.asarray(first[taken])
    order = rng.permutation(len(pool))  # the first row of each unit in a random order is an even choice
    drawn = np.isin(pool.units[order], taken)
    few = order[drawn]
    return np.asarray(few[np.unique(pool.units[few], return_index=True)[1]])


def _labelled(pool: Pool, sizes: Sizes, chance: Array, rows: Array) -> Array:
    """(k,) chances of a label of these rows, over whether the audit gets one more, too."""
    stands = 1 / pool.window.kept
    t = inclusion(stands, sizes.test)[rows]
    full = round(float(chance.sum())) == sizes.policy and sizes.policy > 0
    total = np.zeros(len(rows))
    for more, share in ((0, 1 - sizes.more), (1, sizes.more)):
        if not share:
            continue
        audit = inclusion(stands, sizes.audit + more)
        a, hit = audit[rows], np.minimum(np.bincount(pool.units, audit), 1.0)[pool.units[rows]]
        c = chance[rows] * (1 - 1 / sizes.policy if more and full else 1.0)
        total += share * (a + (1 - hit) * (1 - (1 - c) * (1 - t)) + (hit - a) * t)
    return np.minimum(total, 1.0)
