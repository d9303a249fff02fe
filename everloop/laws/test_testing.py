"""Laws that hold for every suite of behaviour tests."""

from __future__ import annotations

import pandas as pd
import pytest

from everloop.laws.members import every
from pipelines.testing.own import Suite, SuitePolicy, families_of

TEXTS = [f"where is my parcel {i}?" for i in range(6)] + [f"I want my money back {i}" for i in range(6)]
FIXED = pd.DataFrame({"input": TEXTS, "target": ["delivery"] * 6 + ["refund"] * 6})


@every(SuitePolicy)
@pytest.mark.parametrize("rows", [0, 1, 12])
def test_the_same_rows_give_the_same_probes_and_are_not_changed(policy: Suite, rows: int) -> None:
    fixed = FIXED.head(rows)
    before = fixed.copy(deep=True)
    one, two = (
        [(f.name, f.kind, f.claim, f.probes) for f in families_of(policy, fixed, 5)] for _ in range(2)
    )
    assert one == two
    pd.testing.assert_frame_equal(fixed, before)


@every(SuitePolicy)
def test_each_family_has_a_name_of_its_own_and_no_more_probes_than_asked_for(policy: Suite) -> None:
    for most in (0, 1, 5):
        families = families_of(policy, FIXED, most)
        assert len({f.name for f in families}) == len(families)
        assert all(len(f.probes) <= most for f in families)
