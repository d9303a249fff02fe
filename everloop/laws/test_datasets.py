"""Laws that hold for every formation policy."""

from __future__ import annotations

import pandas as pd

from everloop.laws.members import every
from everloop.laws.reservoirs import AS_OF, many
from pipelines.datasets import Datasets
from pipelines.datasets.formation import Formation, formed


@every(Datasets)
def test_laws_of_formation(policy: Formation) -> None:
    """A subset, in order, of unchanged rows; the same for the same seed, whatever the order of the
    rows; empty from empty; the input is left alone; the only row there is always trains."""
    given = many()
    before = given.copy(deep=True)
    kept = formed(policy, given, AS_OF, 3)
    pd.testing.assert_frame_equal(given, before)
    pd.testing.assert_frame_equal(kept, given.loc[kept.index])
    assert kept.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(formed(policy, given, AS_OF, 3), kept)
    shuffled = given.sample(frac=1, random_state=0).reset_index(drop=True)
    assert set(formed(policy, shuffled, AS_OF, 3)["row_id"]) == set(kept["row_id"])
    assert formed(policy, given.iloc[:0], AS_OF, 3).empty
    newest = given.iloc[[-1]]
    pd.testing.assert_frame_equal(formed(policy, newest, AS_OF, 3), newest)
